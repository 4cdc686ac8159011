"""Uploads that never came are given up, room that dead URLs held is free again, and it is said how
long the oldest one that came waits for its verdict, so that nothing waits for ever unseen."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from shared.ids import derived_id
from shared.media.model import MediaRejected, ReservationReleased
from shared.media.store import MediaStore, PreconditionFailed
from shared.signals import seconds_between, signal

# Eventarc forgets an event after 24 hours; until then an upload may have arrived whose event is
# still on its way, and giving it up would lose bytes that somebody was told are safe.
_GRACE = timedelta(hours=24)
# One run of the function; the next run takes the next ones.
_BATCH = 200


class UploadExpiry:
    def __init__(
        self, store: MediaStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
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
        for medium in self._store.overdue(now - _GRACE, _BATCH):
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
        return given_up
