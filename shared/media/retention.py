"""What nobody asks for any more goes away: the trash and what was refused after their days, bytes
without a medium, and all of a person who leaves.

Erasing has two steps, and a crash between them costs nothing but time. The commit makes the medium
a tombstone, moves the usage, tells the event, and notes what is left over; then the bytes go, every
generation of them, and the note with them. What a bucket's soft delete policy still holds after
that no URL of ours and no function reaches; it ends by itself after the policy's days.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shared.errors import Unavailable
from shared.events.model import Event
from shared.ids import derived_id
from shared.media.model import Buckets, BytesErased, MediaDeleted, Medium
from shared.media.objects import ObjectStore
from shared.media.store import MediaStore, PreconditionFailed
from shared.media.uses import TaskUse

# One run of the function: each takes a few calls to Cloud Storage, so a minute or two in all.
_BATCH = 200
# A store in trouble is left alone after so many media that could not be finished.
_FAILURES = 3
# A medium that is still on a task is looked at again after this.
_AGAIN = timedelta(days=1)
_log = logging.getLogger(__name__)


class Retention:
    def __init__(
        self,
        store: MediaStore,
        objects: ObjectStore,
        uses: TaskUse,
        buckets: Buckets,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._objects = objects
        self._uses = uses
        self._buckets = buckets
        self._clock = clock

    def run(self) -> int:
        """Returns how many were erased or freed of their bytes; raises errors.Unavailable when
        not all could be."""
        done = self._each("eraseAt", self._empty)
        return done + self._each("leftoverAt", self._free)

    def erase_owner(self, owner: str) -> bool:
        """Everything of `owner`'s, in all states; True when nothing is left. A call does a part;
        it may be made again at any time. Raises errors.Unavailable."""
        media = self._store.of_owner(owner, _BATCH)
        if not media:
            self._store.forget_usage(owner)
            return True
        for medium in media:
            try:
                self._bury(medium)
            except PreconditionFailed:
                # It changed meanwhile; the next call sees what it is then.
                return False
        return False

    def _each(self, field: str, do: Callable[[Medium], None]) -> int:
        done = failures = 0
        for medium in self._store.due(field, self._clock(), _BATCH):
            try:
                do(medium)
                done += 1
            except PreconditionFailed:
                continue
            except Unavailable as error:
                _log.warning("retention: %s waits for the next run: %s", medium.id, error)
                failures += 1
                if failures == _FAILURES:
                    break
        if failures:
            raise Unavailable("Not all could be erased")
        return done

    def _empty(self, medium: Medium) -> None:
        """Out of the trash for good, unless a task still carries it; what was refused shows
        nothing on a task, and leaves it."""
        now = self._clock()
        if medium.state == "rejected":
            self._store.change(medium, "deleted", {}, self._told(MediaDeleted, medium))
        elif self._uses.counts([medium.id]).get(medium.id, 0):
            self._store.postpone(medium, now + _AGAIN)
        else:
            self._store.erase(medium, now)

    def _free(self, medium: Medium, *, silent: bool = False) -> None:
        name = str(medium.fields["leftover"])
        self._objects.erase(self._buckets.renditions, name)
        self._objects.erase(self._buckets.media, name)
        event = self._told(BytesErased, medium)
        self._store.settle(medium, ("leftover", "leftoverAt"), event, silent=silent)

    def _bury(self, medium: Medium) -> None:
        """Not even a tombstone stays, nor events that would be written down of somebody who is
        gone. What still arrives for it finds no medium, and deletes itself as anything else in the
        inbox that nobody announced."""
        if medium.state in ("ready", "trashed"):
            self._store.erase(medium, self._clock(), silent=True)
        elif medium.state != "deleted":
            self._store.settle(medium, (), self._told(MediaDeleted, medium), silent=True)
        tombstone = self._store.get(medium.id)
        if tombstone is None:
            return
        if "leftover" in tombstone.fields:
            self._free(tombstone, silent=True)
        self._store.forget([tombstone])

    def _told(self, kind: type[BytesErased] | type[MediaDeleted], medium: Medium) -> Event:
        return kind(
            id=derived_id(kind.type, medium.id),
            occurred_at=self._clock(),
            owner=medium.owner,
            media_id=medium.id,
        )
