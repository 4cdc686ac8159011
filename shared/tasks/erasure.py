"""Everything of somebody whose account goes: own tasks with all that hangs on them, comments and
pictures on the tasks of others, and the places as a member there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from shared.documents import Delete, DocumentStore, PreconditionFailed
from shared.tasks.access import Access
from shared.tasks.comments import Comments
from shared.tasks.events import TaskDeleted
from shared.tasks.remains import Remains
from shared.tasks.service import utc_now
from shared.tasks.sharing import Sharing
from shared.tasks.store import TaskStore
from shared.tasks.withdrawal import Withdrawal

# Of each kind per call: some seconds of work.
_AT_ONCE = 50


class TaskErasure:
    def __init__(self, documents: DocumentStore, clock: Callable[[], datetime] = utc_now) -> None:
        self._documents = documents
        self._store = TaskStore(documents)
        self._access = Access(self._store, clock)
        self._comments = Comments(documents, self._store, clock)
        self._sharing = Sharing(documents, self._store, clock)
        self._remains = Remains(documents)
        self._withdrawal = Withdrawal(documents, clock)

    def erase_owner(self, owner: str) -> bool:
        """A bounded part; True when nothing is left. Somebody who changes a task meanwhile only
        puts it off to the next call."""
        parts = (self._tasks, self._written, self._attached, self._shared, self._graves)
        return sum(part(owner) for part in parts) == 0

    def _tasks(self, owner: str) -> int:
        tasks = self._store.owned(owner, _AT_ONCE)
        for task in tasks:
            try:
                event = self._access.event(TaskDeleted, owner, task)
                self._store.delete([task], [event], silent=True)
            except PreconditionFailed:
                continue
        return len(tasks)

    def _written(self, owner: str) -> int:
        found = self._comments.by_author(owner, _AT_ONCE)
        tasks = self._store.get_all(sorted({task_id for task_id, _ in found}))
        for task_id, comment in found:
            task = tasks.get(task_id)
            try:
                self._comments.withdraw(owner, task, comment)
            except PreconditionFailed:
                continue
            if task is not None and task.owner != owner and (now := self._store.get(task_id)):
                tasks[task_id] = now  # Its version moved with this very comment.
        return len(found)

    def _attached(self, owner: str) -> int:
        found = self._store.attached_by(owner, _AT_ONCE)
        for attachment in found:
            with suppress(PreconditionFailed):
                self._withdrawal.off(owner, attachment)
        return len(found)

    def _shared(self, owner: str) -> int:
        try:
            return self._sharing.leave_all(owner, _AT_ONCE)
        except PreconditionFailed:
            return 1

    def _graves(self, owner: str) -> int:
        graves = self._remains.graves(owner)
        for grave in graves:
            if self._remains.erase(grave.id):
                self._documents.commit([Delete(grave.path)])
        requests = self._store.requests_of(owner, _AT_ONCE)
        if requests:
            self._documents.commit([Delete(one.path) for one in requests])
        return len(graves) + len(requests)
