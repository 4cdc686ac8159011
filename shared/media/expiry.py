"""Uploads that never came are given up, room that dead URLs held is free again, and it is said how
long the oldest one that came waits for its verdict, so that nothing waits for ever unseen."""

from __future__ import annotations

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
# One run of the function; the next run takes the next ones.
_BATCH = 200
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
    ) -> None:
        self._store = store
        self._objects = objects
        self._inbox = inbox
        self._clock = clock

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
        released = 0
        for medium in self._store.due("heldUntil", now, _BATCH):
            event = ReservationReleased(
                id=derived_id(ReservationReleased.type, medium.id),
                occurred_at=now,
                owner=medium.owner,
                media_id=medium.id,
            )
            with suppress(PreconditionFailed):
                self._store.settle(medium, ("heldUntil",), event)
                released += 1
        return released

    def _give_up(self, now: datetime) -> int:
        given_up = 0
        for medium in self._never_came(now - _GRACE):
            event = MediaRejected(
                id=derived_id("media.expired", medium.id),
                occurred_at=now,
                media_id=medium.id,
                owner=medium.owner,
                reason="never-uploaded",
            )
            try:
                self._store.change(medium, "rejected", {"reason": "never-uploaded"}, event)
            except PreconditionFailed:
                continue
            given_up += 1
            if given_up == _BATCH:
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
