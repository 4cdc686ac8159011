"""Takes media off the tasks that carried them, when nobody can have them back.

A medium in the trash stays on its tasks, unseen, because it may be restored. One that was erased,
or given up before it was ever ready, would only be counted there for ever, and be the cover that
nobody can load. Its end is an event; who attached it at that very moment is found by the
reconciler.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from shared.documents import Delete, Document, DocumentStore, PreconditionFailed
from shared.errors import MalformedRequest, Unavailable
from shared.events.model import Delivered
from shared.http.json import loads
from shared.ids import checked_id
from shared.tasks.access import Access
from shared.tasks.events import MediaDetached
from shared.tasks.service import utc_now
from shared.tasks.store import TaskStore

# What media publish of one that nobody can have back.
GONE = ("snaptask.media.v1.erased", "snaptask.media.v1.deleted")
_PAGE = 50
# Each round loses only to somebody who changed the task meanwhile.
_ROUNDS = 8


class Withdrawal:
    def __init__(self, documents: DocumentStore, clock: Callable[[], datetime] = utc_now) -> None:
        self._documents = documents
        self._store = TaskStore(documents)
        self._access = Access(self._store, clock)

    def take(self, event: Delivered) -> None:
        """Raises MalformedRequest or NotFound for what is no event of ours, Unavailable to be
        called again. A second time there is nothing left to do."""
        if event.type not in GONE:
            return
        data = loads(event.data)
        if not isinstance(data, dict) or not all(
            isinstance(data.get(name), str) for name in ("owner", "mediaId")
        ):
            raise MalformedRequest("The event names no medium")
        media_id = checked_id(data["mediaId"])
        while carried := self._store.carrying(media_id, _PAGE):
            for attachment in carried:
                self._persist(data["owner"], attachment)

    def off(self, actor: str, attachment: Document) -> None:
        """One medium off one task, which may be gone itself. Raises PreconditionFailed when
        either moved meanwhile."""
        task = self._store.get(str(attachment.data["task"]))
        if task is None:
            self._documents.commit([Delete(attachment.path, version=attachment.version)])
            return
        media_id = str(attachment.data["media"])
        event = self._access.event(MediaDetached, actor, task, media_id=media_id)
        self._store.detach(task, attachment, event)

    def _persist(self, actor: str, attachment: Document) -> None:
        present: Document | None = attachment
        for _ in range(_ROUNDS):
            if present is None:
                return None
            with suppress(PreconditionFailed):
                return self.off(actor, present)
            present = self._documents.get(attachment.path)
        raise Unavailable("This task is being changed from many sides")
