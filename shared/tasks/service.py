"""What a person can do with tasks. Not yours is the same as missing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from shared.documents import cursors
from shared.errors import Conflict, NotFound, StaleVersion, Unavailable
from shared.events.model import Event
from shared.http import etag_matches
from shared.ids import checked_id, derived_id, new_id
from shared.tasks.model import (
    MOST_PICTURES,
    MediaAttached,
    MediaDetached,
    Picture,
    Task,
    TaskChanged,
    TaskCreated,
    TaskDeleted,
    TaskDraft,
    TaskFilter,
    TaskPage,
    TaskPatch,
    TaskWithMedia,
)
from shared.tasks.store import AlreadyExists, PreconditionFailed, TaskStore

# Each round loses only to a writer that won; eight rounds outlast any tab-happy person.
_ROUNDS = 8
T = TypeVar("T")
E = TypeVar("E", bound=Event)


class Pictures(Protocol):
    """What tasks need to know of media."""

    def is_attachable(self, owner: str, media_id: str) -> bool: ...

    def pictures(self, owner: str, media_ids: Sequence[str]) -> Sequence[Any]:
        """Those of `media_ids` that `owner` has and can see, with the attributes of Picture."""
        ...


class TaskService:
    def __init__(
        self,
        store: TaskStore,
        pictures: Pictures,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._pictures = pictures
        self._clock = clock

    def create(self, owner: str, draft: TaskDraft, key: str | None = None) -> Task:
        """With a key, the same request again gives the same task; another body under the same
        key raises Conflict."""
        now = self._clock()
        fingerprint = hashlib.sha256(draft.model_dump_json().encode()).hexdigest()
        # An empty header is none, or all who send it would meet each other's first request.
        task_id = derived_id("task", owner, key) if key else new_id()
        data = {
            **_fields(draft.model_dump()),
            "owner": owner,
            "mediaCount": 0,
            "createdAt": now,
            "updatedAt": now,
            "request": fingerprint,
        }
        try:
            return self._store.create(task_id, data, self._event(TaskCreated, owner, task_id))
        except AlreadyExists:
            task = self._own(owner, task_id)
            if task.fields.get("request") != fingerprint:
                raise Conflict("This Idempotency-Key was used for another request") from None
            return task

    def read(self, owner: str, task_id: str) -> Task:
        return self._own(owner, task_id)

    def find(self, owner: str, wanted: TaskFilter) -> TaskPage:
        scope = ("tasks", owner, wanted.status)
        after = cursors.decode(wanted.cursor, scope) if wanted.cursor else None
        # One more than asked tells whether there is a next page without a count.
        found = self._store.find(owner, wanted.status, after, wanted.limit + 1)
        page = found[: wanted.limit]
        more = len(found) > len(page)
        last = page[-1] if more else None
        return TaskPage.model_construct(
            items=tuple(task.view() for task in page),
            next_cursor=cursors.encode(last.fields["createdAt"], last.id, scope) if last else None,
        )

    def change(self, owner: str, task_id: str, patch: TaskPatch, if_match: str | None) -> Task:
        fields = _fields(patch.model_dump(include=patch.model_fields_set))

        def once(task: Task) -> Task:
            event = self._event(TaskChanged, owner, task_id)
            return self._store.update(task, fields | {"updatedAt": event.occurred_at}, event)

        return self._on_present(owner, task_id, if_match, once)

    def delete(self, owner: str, task_id: str, if_match: str | None) -> None:
        def once(task: Task) -> None:
            self._store.delete(task, self._event(TaskDeleted, owner, task_id))

        self._on_present(owner, task_id, if_match, once)

    def attach(self, owner: str, task_id: str, media_id: str) -> Task:
        """Attaching what is attached already changes nothing."""
        task = self._own(owner, task_id)
        # Both look alike from outside: somebody else's picture and none.
        if not self._pictures.is_attachable(owner, checked_id(media_id)):
            raise NotFound("There is no such picture")
        is_full = int(task.fields["mediaCount"]) >= MOST_PICTURES
        if is_full and self._store.attachment(task_id, media_id) is None:
            raise Conflict(f"A task carries at most {MOST_PICTURES} pictures")
        try:
            self._store.attach(task, self._event(MediaAttached, owner, task_id, media_id=media_id))
        except PreconditionFailed:
            raise NotFound from None
        return self._own(owner, task_id)

    def detach(self, owner: str, task_id: str, media_id: str) -> None:
        checked_id(media_id)
        was_there = False

        def once(task: Task) -> None:
            nonlocal was_there
            attachment = self._store.attachment(task.id, media_id)
            if attachment is not None:
                was_there = True
                event = self._event(MediaDetached, owner, task_id, media_id=media_id)
                self._store.detach(task, attachment, event)
            elif not was_there:
                # Gone only since the last round, it is detached as asked: by somebody else, or
                # by ourselves when the answer was lost.
                raise NotFound

        self._on_present(owner, task_id, None, once)

    def with_media(self, owner: str, task_id: str) -> TaskWithMedia:
        task = self._own(owner, task_id)
        found = self._pictures.pictures(owner, self._store.media_of(task.id))
        pictures = tuple(Picture.model_validate(one, from_attributes=True) for one in found)
        return task.view_with(pictures)

    def _event(self, kind: type[E], owner: str, task_id: str, **ids: str) -> E:
        """Published by the sweep; a request does not wait for the topic."""
        return kind(id=new_id(), occurred_at=self._clock(), owner=owner, task_id=task_id, **ids)

    def _own(self, owner: str, task_id: str) -> Task:
        task = self._store.get(checked_id(task_id))
        if task is None or task.owner != owner:
            raise NotFound
        return task

    def _on_present(
        self, owner: str, task_id: str, if_match: str | None, change: Callable[[Task], T]
    ) -> T:
        """Apply `change` to the present state. Somebody in between makes it stale (StaleVersion)
        for a caller who named the state he saw, and just another round for one who did not."""
        for _ in range(_ROUNDS):
            task = self._own(owner, task_id)
            if if_match is not None and not etag_matches(if_match, task.etag):
                raise StaleVersion
            try:
                return change(task)
            except PreconditionFailed:
                continue
        raise Unavailable("This task is being changed from many sides")


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    """Model names to stored names; only `due_at` differs."""
    if "due_at" in values:
        values["dueAt"] = values.pop("due_at")
    if "labels" in values:
        values["labels"] = list(values["labels"])
    return values
