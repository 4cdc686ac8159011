"""The way to a task for a person: the one place where the policy is asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from shared.errors import Forbidden, NotFound, StaleVersion, Unavailable
from shared.http import etag_matches
from shared.ids import checked_id, new_id
from shared.tasks.events import TaskEvent
from shared.tasks.model import Task
from shared.tasks.policy import Action, may
from shared.tasks.store import PreconditionFailed, TaskStore

# Each round loses only to a writer that won: 24 outlast any number of hands on one task.
_ROUNDS = 24
T = TypeVar("T")
E = TypeVar("E", bound=TaskEvent)


class Access:
    def __init__(self, store: TaskStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def task(self, user: str, task_id: str, action: Action) -> Task:
        """Raises NotFound for who is no member, Forbidden for a member who may not."""
        return allowed(self._store.get(checked_id(task_id)), user, action)

    def on_present(
        self,
        user: str,
        task_id: str,
        action: Action,
        change: Callable[[Task], T],
        if_match: str | None = None,
    ) -> T:
        """Apply `change` to the present state. Somebody in between makes it stale (StaleVersion)
        for a caller who named the state he saw, and just another round for one who did not."""
        for _ in range(_ROUNDS):
            task = self.task(user, task_id, action)
            if if_match is not None and not etag_matches(if_match, task.etag):
                raise StaleVersion
            try:
                return change(task)
            except PreconditionFailed:
                continue
        raise Unavailable("This task is being changed from many sides")

    def event(self, kind: type[E], user: str, task: Task, **ids: Any) -> E:
        """Published by the sweep; a request does not wait for the topic."""
        return kind(
            id=new_id(),
            occurred_at=self._clock(),
            owner=task.owner,
            actor=user,
            task_id=task.id,
            **ids,
        )


def allowed(task: Task | None, user: str, action: Action) -> Task:
    role = None if task is None else task.role(user)
    if task is None or role is None:
        raise NotFound
    if not may(role, action):
        raise Forbidden("This task is shared with you, but not for that")
    return task
