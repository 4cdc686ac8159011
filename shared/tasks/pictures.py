"""The pictures on tasks: attach, detach, order, show. A picture belongs to whoever attached it; the
others see it because the task carries it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from shared.documents import AlreadyExists, PreconditionFailed
from shared.errors import Conflict, NotFound
from shared.ids import checked_id
from shared.tasks.access import Access
from shared.tasks.events import MediaAttached, MediaDetached, TaskChanged
from shared.tasks.model import (
    MOST_PICTURES,
    MediaOrder,
    MediaReference,
    Picture,
    Task,
    TaskWithMedia,
)
from shared.tasks.service import once_of, remembered, utc_now
from shared.tasks.store import TaskStore


class Pictures(Protocol):
    """What tasks need to know of media."""

    def are_attachable(self, owner: str, media_ids: Sequence[str]) -> bool: ...

    def pictures(self, media: Sequence[tuple[str, str]]) -> Sequence[Any]:
        """Those of `media`, as (id, owner), that are still there, with the attributes of
        Picture."""
        ...


class TaskPictures:
    def __init__(
        self, store: TaskStore, pictures: Pictures, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._store = store
        self._pictures = pictures
        self._clock = clock
        self._access = Access(store, clock)

    def attach(
        self, user: str, task_id: str, wanted: MediaReference, key: str | None = None
    ) -> Task:
        """Attaching what is attached already changes nothing."""
        media_ids = [checked_id(one) for one in wanted.ids]
        kept = once_of(f"attach {task_id}", user, key, wanted, self._clock())
        known: set[str] = set()

        def once(task: Task) -> None:
            if len(known) < len(media_ids) and _is_full(task, len(media_ids)):
                known.update(self._store.attachments(task_id, media_ids))
            new = [one for one in media_ids if one not in known]
            if not new:
                return
            # Both look alike from outside: somebody else's picture and none.
            if not self._pictures.are_attachable(user, new):
                raise NotFound("There is no such picture")
            if _is_full(task, len(new)):
                raise Conflict(f"A task carries at most {MOST_PICTURES} pictures")
            events = [self._access.event(MediaAttached, user, task, media_id=one) for one in new]
            try:
                self._store.attach(task, events, kept)
            except AlreadyExists:
                if kept is not None and remembered(self._store, kept) is not None:
                    return
                known.update(self._store.attachments(task_id, media_ids))
                raise PreconditionFailed from None

        self._access.on_present(user, task_id, "attach", once)
        return self._access.task(user, task_id, "read")

    def detach(self, user: str, task_id: str, media_id: str) -> None:
        checked_id(media_id)
        was_there = False

        def once(task: Task) -> None:
            nonlocal was_there
            attachment = self._store.attachment(task.id, media_id)
            if attachment is not None:
                was_there = True
                event = self._access.event(MediaDetached, user, task, media_id=media_id)
                self._store.detach(task, attachment, event)
            elif not was_there:
                # Gone only since the last round, it is detached as asked: by somebody else, or
                # by ourselves when the answer was lost.
                raise NotFound

        self._access.on_present(user, task_id, "attach", once)

    def order(
        self, user: str, task_id: str, wanted: MediaOrder, if_match: str | None = None
    ) -> Task:
        """What is attached meanwhile comes after; raises Conflict unless every picture that the
        task shows is named, and none that it does not carry."""
        named = set(wanted.media_ids)

        def once(task: Task) -> Task:
            attached = self._store.media_of(task)
            unnamed = [one for one in attached if one[0] not in named]
            # Nobody can name what is in its owner's trash.
            is_short = bool(unnamed and self._pictures.pictures(unnamed))
            if is_short or not named <= {media for media, _ in attached}:
                raise Conflict("Name every picture of the task once")
            event = self._access.event(TaskChanged, user, task, fields=("mediaOrder",))
            return self._store.update(task, {"mediaOrder": list(wanted.media_ids)}, event)

        return self._access.on_present(user, task_id, "write", once, if_match)

    def shown(self, user: str, task_id: str) -> TaskWithMedia:
        task = self._access.task(user, task_id, "read")
        found = self._pictures.pictures(self._store.media_of(task))
        pictures = tuple(Picture.model_validate(one, from_attributes=True) for one in found)
        return task.view_with(user, pictures)


def _is_full(task: Task, more: int) -> bool:
    return int(task.fields["mediaCount"]) + more > MOST_PICTURES
