"""What a person can do with tasks. Not yours is the same as missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pydantic import BaseModel

from shared.documents import AlreadyExists, PreconditionFailed, Update, Write, cursors
from shared.errors import Conflict, Forbidden, NotFound, OverQuota, Unavailable
from shared.ids import checked_id, new_id
from shared.tasks import listing, positions
from shared.tasks.access import Access
from shared.tasks.events import MediaAttached, TaskChanged, TaskCreated, TaskDeleted
from shared.tasks.model import (
    Happening,
    History,
    Outcome,
    Outcomes,
    PageQuery,
    Place,
    Task,
    TaskDraft,
    TaskFilter,
    TaskPage,
    TaskPatch,
)
from shared.tasks.policy import may
from shared.tasks.remains import Remains
from shared.tasks.room import Room
from shared.tasks.store import Once, TaskStore, leaves_remains

# Parts of what hangs on a task that its deletion waits for; a longer rest is the job's.
_ERASING = 4


class Attachable(Protocol):
    """What tasks need to know of media before one is attached."""

    def are_attachable(self, owner: str, media_ids: Sequence[str]) -> bool: ...


class Records(Protocol):
    """The audit trail, as far as one task goes."""

    def of_task(
        self, task_id: str, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[Any]:
        """The newest first, with the attributes of Happening."""
        ...


def utc_now() -> datetime:
    return datetime.now(UTC)


class TaskService:
    def __init__(
        self,
        store: TaskStore,
        pictures: Attachable,
        records: Records,
        remains: Remains,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._pictures = pictures
        self._records = records
        self._remains = remains
        self._clock = clock
        self._access = Access(store, clock)
        self._room = Room(store)

    def create(self, owner: str, draft: TaskDraft, key: str | None = None) -> Task:
        """With a key, the same request again gives the same task, even one that was deleted
        meanwhile does not come anew; another body under the same key raises Conflict. Raises
        OverQuota."""
        now = self._clock()
        once = once_of("task", owner, key, draft, now)
        media_ids = [checked_id(one) for one in draft.media_ids]
        try:
            self._room.check(owner)
            if media_ids and not self._pictures.are_attachable(owner, media_ids):
                raise NotFound("There is no such picture")
        except (NotFound, OverQuota):
            # A retry may find its picture gone, and the room used up by the task that it made.
            if once is not None and (made := self._made(owner, once)):
                return made
            raise
        task_id = new_id()
        told = {"occurred_at": now, "owner": owner, "actor": owner, "task_id": task_id}
        attached = [MediaAttached(id=new_id(), media_id=one, **told) for one in media_ids]
        data = {
            **_fields(draft.model_dump(exclude={"media_ids"})),
            "owner": owner,
            "members": {},
            "position": positions.top(now, task_id),
            "cover": None,
            "mediaCount": len(media_ids),
            "commentCount": 0,
            "createdAt": now,
            "updatedAt": now,
        }
        try:
            event = TaskCreated(id=new_id(), **told)
            return self._store.create(task_id, data, event, attached, once)
        except AlreadyExists:
            made = self._made(owner, once) if once is not None else None
            if made is None:
                raise
            return made

    def read(self, user: str, task_id: str) -> Task:
        return self._access.task(user, task_id, "read")

    def find(self, user: str, wanted: TaskFilter) -> TaskPage:
        return listing.find(self._store, user, wanted)

    def change(
        self, user: str, task_id: str, patch: TaskPatch, if_match: str | None = None
    ) -> Task:
        fields = _fields(patch.model_dump(include=patch.model_fields_set))
        cover = fields.get("cover")

        def once(task: Task) -> Task:
            event = self._access.event(TaskChanged, user, task, fields=tuple(sorted(fields)))
            others = [self._held(task, cover)] if cover is not None else []
            return self._store.update(task, fields, event, *others)

        return self._access.on_present(user, task_id, "write", once, if_match)

    def move(self, user: str, task_id: str, place: Place, if_match: str | None = None) -> Task:
        def once(task: Task) -> Task:
            position = self._position(task, place)
            if position is None:
                return task
            event = self._access.event(TaskChanged, user, task, fields=("position",))
            return self._store.update(task, {"position": position}, event)

        return self._access.on_present(user, task_id, "move", once, if_match)

    def delete(self, user: str, task_id: str, if_match: str | None = None) -> None:
        def once(task: Task) -> bool:
            self._store.delete([task], [self._access.event(TaskDeleted, user, task)])
            return leaves_remains(task)

        if self._access.on_present(user, task_id, "delete", once, if_match):
            try:
                for _ in range(_ERASING):
                    if self._remains.erase(task_id):
                        break
            except Unavailable:
                # The tombstone says what is left, and the job comes after.
                return

    def delete_many(self, user: str, ids: Sequence[str]) -> Outcomes:
        """What was deleted before by the caller is done; sent again, all of it is."""
        found = self._store.get_all([one for one in ids if _is_id(one)])
        mine = [task for task in found.values() if may(task.role(user), "delete")]
        done: set[str] = set()
        try:
            if mine:
                events = [self._access.event(TaskDeleted, user, task) for task in mine]
                self._store.delete(mine, events)
            done = {task.id for task in mine}
        except PreconditionFailed:
            pass  # One of them changed meanwhile; each goes by itself.
        rest = [one for one in ids if one not in done]
        buried = self._remains.buried(user, [one for one in rest if _is_id(one)])

        def once(one: str) -> None:
            if one not in done and one not in buried:
                self.delete(user, one)

        return _each(ids, once)

    def change_many(self, user: str, ids: Sequence[str], patch: TaskPatch) -> Outcomes:
        return _each(ids, lambda one: self.change(user, one, patch))

    def history(self, user: str, task_id: str, query: PageQuery) -> History:
        self._access.task(user, task_id, "read")
        bound = ("activity", user, task_id)
        after = cursors.decode(query.cursor, bound) if query.cursor else None
        found = self._records.of_task(task_id, after, query.limit + 1)
        page = found[: query.limit]
        last = page[-1] if len(found) > len(page) else None
        return History.model_construct(
            items=tuple(Happening.model_validate(one, from_attributes=True) for one in page),
            next_cursor=cursors.encode(last.occurred_at, last.id, bound) if last else None,
        )

    def _made(self, owner: str, once: Once) -> Task | None:
        """What an earlier request under the key made; None when there was none."""
        task_id = remembered(self._store, once)
        if task_id is None:
            return None
        task = self._store.get(task_id)
        if task is None:
            raise Conflict("What this Idempotency-Key made was deleted")
        return task

    def _held(self, task: Task, media_id: str) -> Write:
        """The attachment whose medium becomes the cover; touched, so that a detach meanwhile
        meets another version."""
        attachment = self._store.attachment(task.id, media_id) if _is_id(media_id) else None
        if attachment is None:
            raise Conflict("Only a picture that the task carries can be its cover")
        return Update(attachment.path, version=attachment.version)

    def _position(self, task: Task, place: Place) -> str | None:
        """None when the task stands there already."""
        first = positions.top(self._clock(), task.id)
        last = positions.bottom(self._clock(), task.id)
        if place.to is not None:
            return first if place.to == "first" else last
        other = self._store.get(checked_id(place.before or place.after or ""))
        if other is None or other.owner != task.owner:
            raise NotFound("There is no such task to move to")
        if other.id == task.id:
            return None
        mark = str(other.fields["position"])
        # At an end the place is the end's own, or the next new task would not come on top.
        if place.before is not None:
            low = self._store.beside(task, mark, "DESCENDING")
            return first if low is None and first < mark else positions.between(low, mark)
        high = self._store.beside(task, mark, "ASCENDING")
        return last if high is None and last > mark else positions.between(mark, high)


def once_of(kind: str, user: str, key: str | None, body: BaseModel, now: datetime) -> Once | None:
    # An empty header is none, or all who send it would meet each other's first request.
    if not key:
        return None
    request = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    return Once(kind, user, key, request, now)


def remembered(store: TaskStore, once: Once) -> str | None:
    """The id that the first request under this key made. Raises Conflict when that asked for
    something else."""
    record = store.remembered(once)
    if record is None:
        return None
    if record.data["request"] != once.request:
        raise Conflict("This Idempotency-Key was used for another request")
    return str(record.data["result"])


def _each(ids: Sequence[str], change: Callable[[str], object]) -> Outcomes:
    def outcome(one: str) -> Any:
        try:
            change(one)
        except NotFound:
            return "not-found"
        except Forbidden:
            return "refused"
        except Unavailable:
            return "try-again"
        return "done"

    items = tuple(Outcome.model_construct(id=one, outcome=outcome(one)) for one in ids)
    return Outcomes.model_construct(items=items)


def _is_id(value: str) -> bool:
    try:
        checked_id(value)
    except NotFound:
        return False
    return True


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """Model names to stored names; only `due_at` differs."""
    if "due_at" in values:
        values["dueAt"] = values.pop("due_at")
    if "labels" in values:
        values["labels"] = list(values["labels"])
    return values
