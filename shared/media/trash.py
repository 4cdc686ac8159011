"""Thirty days in which a person can have a medium back, and the end of it.

In the trash a medium is nowhere but in the list of the trash. It stays on its tasks, where nobody
sees it until it is restored; a medium that a task carries is not erased by the passing of time
(retention.py), only by its owner's own word.

Sending a request twice must be safe, so throwing away what is in the trash already does not erase
it: that takes the word "permanent".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property

from shared.errors import NotFound, ProductError, Unavailable
from shared.ids import checked_id, derived_id
from shared.media.api_model import BulkOutcome, BulkOutcomes, Refusal
from shared.media.gallery import Gallery
from shared.media.model import VISIBLE, MediaRestored, Medium
from shared.media.store import MediaStore, PreconditionFailed

_ROUNDS = 4
# Commits at a time for one request.
_PARALLEL = 8


class Trash:
    def __init__(
        self,
        store: MediaStore,
        gallery: Gallery,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._gallery = gallery
        self._clock = clock

    def put(self, owner: str, media_id: str) -> None:
        self._gallery.delete(owner, media_id)

    def restore(self, owner: str, media_id: str) -> None:
        """What is not in the trash is where it was to be brought."""

        def once(medium: Medium) -> None:
            if medium.state != "trashed":
                return
            event = MediaRestored(
                id=derived_id(MediaRestored.type, medium.id, medium.etag),
                occurred_at=self._clock(),
                owner=owner,
                media_id=medium.id,
            )
            gone = ("trashedAt", "eraseAt")
            self._store.change(medium, "ready", {}, event, remove=gone)

        self._on_present(owner, media_id, once)

    def erase(self, owner: str, media_id: str) -> None:
        """For good. From here on nobody reads it; its bytes go with the next run of the
        retention, which is minutes away."""

        def once(medium: Medium) -> None:
            if medium.state in ("ready", "trashed"):
                self._store.erase(medium, self._clock())
            else:
                self._gallery.delete(owner, media_id)

        self._on_present(owner, media_id, once)

    def put_all(self, owner: str, media_ids: Sequence[str]) -> BulkOutcomes:
        return self._each(owner, media_ids, self.put)

    def restore_all(self, owner: str, media_ids: Sequence[str]) -> BulkOutcomes:
        return self._each(owner, media_ids, self.restore)

    def _each(
        self, owner: str, media_ids: Sequence[str], do: Callable[[str, str], None]
    ) -> BulkOutcomes:
        def outcome(media_id: str) -> BulkOutcome:
            try:
                do(owner, media_id)
            except ProductError as error:
                return BulkOutcome(problem=Refusal.of(error))
            return BulkOutcome(problem=None)

        return BulkOutcomes(items=tuple(self._threads.map(outcome, media_ids)))

    def _on_present(self, owner: str, media_id: str, change: Callable[[Medium], None]) -> None:
        for _ in range(_ROUNDS):
            medium = self._store.get(checked_id(media_id))
            if medium is None or medium.owner != owner or medium.state not in (*VISIBLE, "trashed"):
                raise NotFound
            try:
                change(medium)
            except PreconditionFailed:
                continue
            return
        raise Unavailable("This medium is being changed from many sides")

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=_PARALLEL)
