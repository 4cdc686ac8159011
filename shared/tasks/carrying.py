"""Which tasks carry which media: what the media side asks of tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from shared.documents import DocumentStore
from shared.tasks.store import TaskStore

# Firestore takes so many values in one `in`.
_AT_ONCE = 30
# A page of media that is on more tasks than this together shows too small a number.
_MOST = 1000


class Carrying:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents
        self._tasks = TaskStore(documents)

    def counts(self, media_ids: Sequence[str]) -> Mapping[str, int]:
        """On how many tasks each is; those that are on none are missing."""
        counts: Counter[str] = Counter()
        for first in range(0, len(media_ids), _AT_ONCE):
            some = list(media_ids[first : first + _AT_ONCE])
            found = self._documents.query("attachments", where=[("media", "in", some)], limit=_MOST)
            counts.update(str(document.data["media"]) for document in found)
        return counts

    def media_of(self, owner: str, task_id: str) -> Sequence[str]:
        """The media on a task of `owner`'s; none when there is no such task."""
        task = self._tasks.get(task_id)
        if task is None or task.owner != owner:
            return ()
        return [media_id for media_id, _ in self._tasks.media_of(task)]
