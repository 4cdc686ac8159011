"""Uploads that never came: their media are given up, so that nothing waits for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shared.ids import derived_id
from shared.media.model import MediaRejected
from shared.media.store import MediaStore, PreconditionFailed

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
        """Returns how many were given up; raises errors.Unavailable."""
        now = self._clock()
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
