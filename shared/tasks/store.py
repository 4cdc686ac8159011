"""Where tasks and their attachments are kept, and which writes belong together: every change
carries its event.

An attachment's id is `{task}_{media}`, so attaching twice meets the first one. Attaching moves
the task's version: a deletion that read the attachments before cannot miss one. The count moves
by increments, so that many pictures come and go at once without refusing each other; the
attachment's own existence is what keeps it exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from shared.documents import (
    AlreadyExists,
    Create,
    Delete,
    Document,
    DocumentStore,
    Order,
    PreconditionFailed,
    Update,
    Where,
)
from shared.events.model import Event
from shared.events.outbox import stored
from shared.tasks.model import MediaAttached, MediaDetached, Task

_NEWEST_FIRST: tuple[Order, ...] = (("createdAt", "DESCENDING"), ("__name__", "DESCENDING"))
_OLDEST_FIRST: tuple[Order, ...] = (("createdAt", "ASCENDING"), ("__name__", "ASCENDING"))
SCHEMA_VERSION = 1
# The cap on pictures is checked before the commit, so those under way at once may pass it: 100
# and the 320 requests that all instances take at a time. Below the 500 writes of one commit.
_MOST_ATTACHED = 450


class TaskStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, task_id: str, data: Mapping[str, Any], event: Event) -> Task:
        """Raises AlreadyExists."""
        whole = {**data, "schemaVersion": SCHEMA_VERSION}
        commit_id = self._documents.commit([Create(f"tasks/{task_id}", whole), stored(event)])
        return Task.from_document(task_id, whole | {"commitId": commit_id}, None)

    def get(self, task_id: str) -> Task | None:
        document = self._documents.get(f"tasks/{task_id}")
        return Task.from_document(task_id, document.data, document.version) if document else None

    def find(
        self, owner: str, status: str | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Task]:
        where: list[Where] = [("owner", "==", owner)]
        if status is not None:
            where.append(("status", "==", status))
        documents = self._documents.query(
            "tasks", where=where, order=_NEWEST_FIRST, start_after=after, limit=limit
        )
        return [Task.from_document(doc.id, doc.data, doc.version) for doc in documents]

    def update(self, task: Task, fields: Mapping[str, Any], event: Event) -> Task:
        """Raises PreconditionFailed when `task` is no longer the present state."""
        commit_id = self._documents.commit(
            [Update(f"tasks/{task.id}", fields, version=task.version), stored(event)]
        )
        data = {**task.fields, **fields, "commitId": commit_id}
        return Task.from_document(task.id, data, None)

    def delete(self, task: Task, event: Event) -> None:
        """The task and its attachments; raises PreconditionFailed."""
        attached = [Delete(f"attachments/{task.id}_{media}") for media in self.media_of(task.id)]
        deleted = Delete(f"tasks/{task.id}", version=task.version)
        self._documents.commit([deleted, *attached, stored(event)])

    def attach(self, task: Task, event: MediaAttached) -> None:
        """Attached already is attached; raises PreconditionFailed without the task."""
        attachment = {
            "task": task.id,
            "media": event.media_id,
            "owner": task.owner,
            "createdAt": event.occurred_at,
            "schemaVersion": SCHEMA_VERSION,
        }
        with suppress(AlreadyExists):
            self._documents.commit(
                [
                    Create(f"attachments/{task.id}_{event.media_id}", attachment),
                    _counted(task, 1, event),
                    stored(event),
                ]
            )

    def attachment(self, task_id: str, media_id: str) -> Document | None:
        return self._documents.get(f"attachments/{task_id}_{media_id}")

    def detach(self, task: Task, attachment: Document, event: MediaDetached) -> None:
        """Raises PreconditionFailed when the attachment or the task is gone."""
        gone = Delete(attachment.path, version=attachment.version)
        self._documents.commit([gone, _counted(task, -1, event), stored(event)])

    def media_of(self, task_id: str) -> Sequence[str]:
        """Ids of the attached media, in the order of attaching."""
        documents = self._documents.query(
            "attachments",
            where=[("task", "==", task_id)],
            order=_OLDEST_FIRST,
            limit=_MOST_ATTACHED,
        )
        return [str(doc.data["media"]) for doc in documents]


def _counted(task: Task, step: int, event: Event) -> Update:
    return Update(
        f"tasks/{task.id}", {"updatedAt": event.occurred_at}, increment={"mediaCount": step}
    )


__all__ = ["AlreadyExists", "PreconditionFailed", "TaskStore"]
