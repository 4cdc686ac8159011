"""Where tasks and their attachments are kept, and which writes belong together: every change
carries its event.

An attachment's id is `{task}_{media}`, so attaching twice meets the first one. Counts move by
increments, so that many pictures and comments come and go at once without refusing each other;
the attachment's or comment's own existence is what keeps a count exact. Whatever comes to a task
moves its version, so a deletion knows exactly what is left to erase.

The owner's own writes of that kind need no version. A member's have it, or one that was under way
could land after the acknowledgement that he is a member no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    Write,
)
from shared.documents.model import Direction
from shared.events.outbox import stored
from shared.ids import derived_id
from shared.tasks.events import MediaAttached, MediaDetached, TaskDeleted, TaskEvent
from shared.tasks.model import LISTED, SCHEMA_VERSION, Task, indexed

OLDEST_FIRST: tuple[Order, ...] = (("createdAt", "ASCENDING"), ("__name__", "ASCENDING"))
# The cap on pictures is checked before the commit, so those under way at once may pass it: 100
# and the 320 requests that all instances take at a time. Below the 500 writes of one commit.
MOST_ATTACHED = 450
# A key is remembered so long at least; a client that asks again gives up within minutes.
_REMEMBERED = timedelta(days=7)
_TOMBSTONE = timedelta(days=30)
# Before and behind every id of ours, to look past all that stand at one position.
_FIRST_ID, _LAST_ID = "0", "z" * 20


@dataclass(frozen=True, slots=True)
class Once:
    """A request under its Idempotency-Key: `kind` and `request` tell it from another one."""

    kind: str
    user: str
    key: str
    request: str
    now: datetime

    @property
    def path(self) -> str:
        return f"idempotency/{derived_id(self.kind, self.user, self.key)}"

    def write(self, result: str) -> Create:
        data = {"request": self.request, "result": result, "expireAt": self.now + _REMEMBERED}
        return Create(self.path, {**data, "owner": self.user, "schemaVersion": 1})


class TaskStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def remembered(self, once: Once) -> Document | None:
        return self._documents.get(once.path)

    def create(
        self,
        task_id: str,
        data: Mapping[str, Any],
        event: TaskEvent,
        attached: Sequence[MediaAttached] = (),
        once: Once | None = None,
    ) -> Task:
        """Raises AlreadyExists when the request was made before under its key."""
        whole = {**data, **indexed(data, event.owner), "schemaVersion": SCHEMA_VERSION}
        writes: list[Write] = [Create(f"tasks/{task_id}", whole), stored(event)]
        for one in attached:
            writes += [_attachment(one), stored(one)]
        if once is not None:
            writes.append(once.write(task_id))
        commit_id = self._documents.commit(writes)
        return Task.from_document(task_id, whole | {"commitId": commit_id}, None)

    def get(self, task_id: str) -> Task | None:
        document = self._documents.get(f"tasks/{task_id}")
        return _task(document) if document else None

    def get_all(self, task_ids: Sequence[str]) -> dict[str, Task]:
        found = self._documents.get_all(f"tasks/{task_id}" for task_id in task_ids)
        return {one.id: _task(one) for one in found.values()}

    def find(
        self,
        where: Sequence[Where],
        order: Sequence[Order],
        after: Sequence[Any] | None,
        limit: int,
    ) -> list[Task]:
        documents = self._documents.query(
            "tasks", where=where, order=order, start_after=after, limit=limit, fields=LISTED
        )
        return [_task(document) for document in documents]

    def owned(self, owner: str, limit: int) -> list[Task]:
        """Some of them, in no order."""
        found = self._documents.query("tasks", where=[("owner", "==", owner)], limit=limit)
        return [_task(document) for document in found]

    def number(self, owner: str, most: int) -> int:
        """How many the owner has, told up to `most`."""
        return self._documents.number("tasks", where=[("owner", "==", owner)], most=most)

    def attached_by(self, user: str, limit: int) -> list[Document]:
        return self._documents.query("attachments", where=[("by", "==", user)], limit=limit)

    def carrying(self, media_id: str, limit: int) -> list[Document]:
        """The attachments of one medium."""
        return self._documents.query("attachments", where=[("media", "==", media_id)], limit=limit)

    def requests_of(self, user: str, limit: int) -> list[Document]:
        return self._documents.query("idempotency", where=[("owner", "==", user)], limit=limit)

    def beside(self, task: Task, position: str, direction: Direction) -> str | None:
        """The position next to that one in the owner's order, `task` itself left out."""
        order: tuple[Order, ...] = (("position", direction), ("__name__", direction))
        edge = _LAST_ID if direction == "ASCENDING" else _FIRST_ID
        found = self.find([("owner", "==", task.owner)], order, (position, edge), 2)
        others = [str(one.fields["position"]) for one in found if one.id != task.id]
        return others[0] if others else None

    def update(
        self, task: Task, fields: Mapping[str, Any], event: TaskEvent, *others: Write
    ) -> Task:
        """Raises PreconditionFailed when `task` is no longer the present state."""
        whole = {**task.fields, **fields, "updatedAt": event.occurred_at}
        whole.update(indexed(whole, task.owner))
        whole.pop("commitId")
        # An older document is written whole, or it would be two versions in one.
        changed = {
            name: value
            for name, value in whole.items()
            if task.is_old or value != task.fields.get(name)
        }
        for counted in ("mediaCount", "commentCount"):
            if counted not in fields and not task.is_old:
                changed.pop(counted, None)
        commit_id = self._documents.commit(
            [Update(f"tasks/{task.id}", changed, version=task.version), *others, stored(event)]
        )
        return Task.from_document(task.id, {**whole, "commitId": commit_id}, None)

    def delete(
        self, tasks: Sequence[Task], events: Sequence[TaskDeleted], *, silent: bool = False
    ) -> None:
        """All of them, or PreconditionFailed. What stands beside a task is unreachable from now
        on; its tombstone says that there is something to erase.

        `silent` tells no event: of an account that is being erased, its own event tells all."""
        writes: list[Write] = []
        for task, event in zip(tasks, events, strict=True):
            tombstone = {
                "owner": task.owner,
                "remains": leaves_remains(task),
                "deletedAt": event.occurred_at,
                "expireAt": event.occurred_at + _TOMBSTONE,
                "schemaVersion": 1,
            }
            gone = Delete(f"tasks/{task.id}", version=task.version)
            grave = Create(f"deletedTasks/{task.id}", tombstone)
            writes += [gone, grave] if silent else [gone, grave, stored(event)]
        try:
            self._documents.commit(writes)
        except AlreadyExists:
            # Somebody else deleted it: which of the guards is told is the store's choice.
            raise PreconditionFailed("deletedTasks") from None

    def attach(
        self,
        task: Task,
        events: Sequence[MediaAttached],
        once: Once | None = None,
    ) -> None:
        """Raises AlreadyExists when one is attached already or the request was made before,
        PreconditionFailed when the task is gone or, for a member, changed."""
        writes: list[Write] = [one for each in events for one in (_attachment(each), stored(each))]
        writes.append(counted(task, "mediaCount", len(events), events[0]))
        if once is not None:
            writes.append(once.write(task.id))
        self._documents.commit(writes)

    def attachment(self, task_id: str, media_id: str) -> Document | None:
        return self._documents.get(f"attachments/{task_id}_{media_id}")

    def attachments(self, task_id: str, media_ids: Sequence[str]) -> set[str]:
        """Those of `media_ids` that are attached."""
        found = self._documents.get_all(f"attachments/{task_id}_{one}" for one in media_ids)
        return {str(one.data["media"]) for one in found.values()}

    def detach(self, task: Task, attachment: Document, event: MediaDetached) -> None:
        """Raises PreconditionFailed when the attachment or the task is gone, or the task changed
        and it was the cover."""
        gone = Delete(attachment.path, version=attachment.version)
        fields = {"cover": None} if task.fields["cover"] == event.media_id else {}
        self._documents.commit(
            [gone, counted(task, "mediaCount", -1, event, fields), stored(event)]
        )

    def media_of(self, task: Task) -> list[tuple[str, str]]:
        """Attached media with who attached them, in the order that a person gave them, then in
        that of attaching."""
        documents = self._documents.query(
            "attachments",
            where=[("task", "==", task.id)],
            order=OLDEST_FIRST,
            limit=MOST_ATTACHED,
        )
        # One of version 1 was attached by the owner; there was nobody else.
        found = [(str(d.data["media"]), str(d.data.get("by", d.data["owner"]))) for d in documents]
        place = {media: at for at, media in enumerate(task.fields.get("mediaOrder", ()))}
        return sorted(found, key=lambda one: place.get(one[0], len(place)))


def counted(
    task: Task, name: str, step: int, event: TaskEvent, fields: Mapping[str, Any] | None = None
) -> Update:
    """The task's part of something that comes to it or goes from it."""
    is_free = event.actor == task.owner and not fields
    changed = {**(fields or {}), "updatedAt": event.occurred_at}
    version = None if is_free else task.version
    return Update(f"tasks/{task.id}", changed, increment={name: step}, version=version)


def leaves_remains(task: Task) -> bool:
    return bool(
        task.fields["mediaCount"] or task.fields["commentCount"] or task.fields.get("invited")
    )


def _attachment(event: MediaAttached) -> Create:
    attachment = {
        "task": event.task_id,
        "media": event.media_id,
        "owner": event.owner,
        "by": event.actor,
        "createdAt": event.occurred_at,
        "schemaVersion": 2,
    }
    return Create(f"attachments/{event.task_id}_{event.media_id}", attachment)


def _task(document: Document) -> Task:
    return Task.from_document(document.id, document.data, document.version)


__all__ = ["AlreadyExists", "PreconditionFailed", "TaskStore"]
