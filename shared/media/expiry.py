"""Uploads that never came are given up, room that dead URLs held is free again, and it is said how
long the oldest one that came waits for its verdict, so that nothing waits for ever unseen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from shared.ids import derived_id
from shared.media.model import MediaRejected, Medium, ReservationReleased
from shared.media.objects import ObjectStore
from shared.media.store import MediaStore, PreconditionFailed
from shared.signals import seconds_between, signal

# Eventarc forgets an event after 24 hours; until then an upload may have arrived whose event is
# still on its way, and giving it up would lose bytes that somebody was told are safe.
_GRACE = timedelta(hours=24)
# Media of one query.
_BATCH = 200
# Seconds of each of the two kinds of work in a run, some thousand commits: together less than the
# function's timeout (300 s). A single batch every five minutes would let one account that goes on
# announcing keep everybody else's room held. The next run takes what is left.
_RUN = 100.0
# Names that one listing of the inbox asks for: half of what Cloud Storage gives at once.
_LISTED = 500


class UploadExpiry:
    """What stands in the inbox did come, however long nobody could look at it: it is left to its
    event, which the reconciler tells again. `inbox` is the bucket."""

    def __init__(
        self,
        store: MediaStore,
        objects: ObjectStore,
        inbox: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._objects = objects
        self._inbox = inbox
        self._clock = clock
        self._seconds = seconds

    def run(self) -> int:
        """Returns how many were given up or released; raises errors.Unavailable."""
        now = self._clock()
        self._tell_of_scans(now)
        return self._give_up(now) + self._release(now)

    def _tell_of_scans(self, now: datetime) -> None:
        """Exact up to a batch of them; what stands for long is among the first announced."""
        waiting = [medium.fields["updatedAt"] for medium in self._store.scanning(_BATCH)]
        if waiting:
            signal("scan.waiting", seconds=seconds_between(min(waiting), now))

    def _release(self, now: datetime) -> int:
        """Bytes that the URLs of cancelled uploads could have brought."""
        released, end = 0, self._seconds() + _RUN
        while found := self._store.due("heldUntil", now, _BATCH):
            settled = sum(self._is_released(medium, now) for medium in found)
            released += settled
            if not settled or self._seconds() >= end:
                break
        return released

    def _is_released(self, medium: Medium, now: datetime) -> bool:
        event = ReservationReleased(
            id=derived_id(ReservationReleased.type, medium.id),
            occurred_at=now,
            owner=medium.owner,
            media_id=medium.id,
        )
        with suppress(PreconditionFailed):
            self._store.settle(medium, ("heldUntil",), event)
            return True
        return False

    def _give_up(self, now: datetime) -> int:
        given_up, end = 0, self._seconds() + _RUN
        for medium in self._never_came(now - _GRACE):
            event = MediaRejected(
                id=derived_id("media.expired", medium.id),
                occurred_at=now,
                media_id=medium.id,
                owner=medium.owner,
                reason="never-uploaded",
            )
            with suppress(PreconditionFailed):
                self._store.change(medium, "rejected", {"reason": "never-uploaded"}, event)
                given_up += 1
            if self._seconds() >= end:
                break
        return given_up

    def _never_came(self, before: datetime) -> Iterator[Medium]:
        """The overdue ones without an object, the oldest first. After an outage those with one may
        be many, and the others behind them are not to wait: so they are passed by, and the inbox
        is listed once instead of being asked about each."""
        after: tuple[datetime, str] | None = None
        standing: frozenset[str] | None = None
        while found := self._store.overdue(before, _BATCH, after):
            # Listed after the media were read: what is settled in between is no longer pending.
            standing = self._standing() if standing is None else standing
            yield from (medium for medium in found if medium.inbox_name not in standing)
            after = found[-1].fields["uploadExpiresAt"], found[-1].id

    def _standing(self) -> frozenset[str]:
        names: set[str] = set()
        after = ""
        while found := self._objects.listed(self._inbox, after, _LISTED):
            after = found[-1].version.name
            names.update(one.version.name for one in found)
        return frozenset(names)
