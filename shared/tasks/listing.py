"""Lists of tasks: any conditions together, in six orders and both directions.

Firestore takes one condition on a list field per query and an index for each combination, so a
query has one order and at most one term; the other conditions are looked at here, while reading
on. What is read for one page is bounded; where the bound ends a page, its cursor goes on from
there. docs/decisions/2026-11-task-lists.md says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.documents import Order, Where, cursors
from shared.tasks.model import Status, Task, TaskFilter, TaskPage
from shared.tasks.search import Sought
from shared.tasks.store import TaskStore

# Documents read for one page, at most: three times the largest page; about 30 ms of reading.
MOST_READ = 300
_BATCH = 100
_FIELDS = {
    "created": "createdAt",
    "updated": "updatedAt",
    "due": "dueKey",
    "position": "position",
    "priority": "priorityKey",
    "title": "titleKey",
}
_NEWEST_FIRST = ("created", "updated")
# Whose places are texts and not moments.
_TEXTS = ("position", "priorityKey", "titleKey")
_DIRECTIONS: Any = {"asc": "ASCENDING", "desc": "DESCENDING"}
_STATUSES: frozenset[Status] = frozenset(("open", "doing", "done"))


def find(store: TaskStore, user: str, wanted: TaskFilter) -> TaskPage:
    search = _Search(user, wanted)
    items: list[Task] = []
    after, left = search.after, MOST_READ
    batch = wanted.limit + 1  # One more than asked tells whether there is a next page.
    while left > 0:
        asked = min(batch, left)
        found = store.find(search.where, search.order, after, asked)
        for task in found:
            if len(items) == wanted.limit:
                return search.page(items, after)
            after = search.place(task)
            if search.fits(task):
                items.append(task)
        left -= asked
        if len(found) < asked:
            return search.page(items, None)
        batch = _BATCH
    return search.page(items, after)


class _Search:
    """One filter as a query, and what the query leaves to be looked at."""

    def __init__(self, user: str, wanted: TaskFilter) -> None:
        self._user = user
        self._wanted = wanted
        self._sought = Sought(wanted.q) if wanted.q else None
        self._field = _FIELDS[wanted.sort]
        self._direction = wanted.direction or ("desc" if wanted.sort in _NEWEST_FIRST else "asc")
        asked = wanted.model_dump(exclude={"cursor", "limit", "direction"})
        self._bound = ("tasks", user, sorted(asked.items()), self._direction)
        direction = _DIRECTIONS[self._direction]
        self.order: tuple[Order, ...] = ((self._field, direction), ("__name__", direction))
        self.where = self._conditions()
        decode: Any = cursors.decode_key if self._field in _TEXTS else cursors.decode
        self.after: tuple[Any, str] | None = (
            decode(wanted.cursor, self._bound) if wanted.cursor else None
        )

    def _conditions(self) -> list[Where]:
        where: list[Where] = []
        if self._wanted.scope != "own":
            where.append(("readers", "array-contains", f"{self._wanted.scope}:{self._user}"))
        else:
            where.append(("owner", "==", self._user))
            if (term := self._term()) is not None:
                where.append(term)
        if self._field == "dueKey":
            if self._wanted.due_from is not None:
                where.append(("dueKey", ">=", self._wanted.due_from))
            if self._wanted.due_to is not None:
                where.append(("dueKey", "<", self._wanted.due_to))
        return where

    def _term(self) -> Where | None:
        """The one condition that the index answers: the one that leaves least."""
        wanted = self._wanted
        if self._sought and self._sought.term and self._has_words():
            return ("words", "array-contains", self._sought.term)
        if wanted.label:
            return ("tags", "array-contains", f"l:{wanted.label[0]}")
        statuses = set(wanted.status)
        if len(statuses) == 1:
            return ("tags", "array-contains", f"s:{wanted.status[0]}")
        if len(set(wanted.priority)) == 1:
            return ("tags", "array-contains", f"p:{wanted.priority[0]}")
        if len(statuses) == 2:
            (other,) = _STATUSES - statuses
            return ("tags", "array-contains", f"n:{other}")
        return None

    def _has_words(self) -> bool:
        """Words are many, so their index is kept for the two orders people search in."""
        return self._wanted.sort in _NEWEST_FIRST and self._direction == "desc"

    def fits(self, task: Task) -> bool:
        fields, wanted = task.fields, self._wanted
        return (
            (not wanted.status or fields["status"] in wanted.status)
            and (not wanted.priority or fields["priority"] in wanted.priority)
            and (not wanted.label or set(wanted.label) <= set(fields["labels"]))
            and self._is_due(fields["dueAt"])
            and (self._sought is None or self._sought.matches(fields))
        )

    def _is_due(self, due: Any) -> bool:
        wanted = self._wanted
        if wanted.due_from is None and wanted.due_to is None:
            return True
        return (
            due is not None
            and (wanted.due_from is None or due >= wanted.due_from)
            and (wanted.due_to is None or due < wanted.due_to)
        )

    def place(self, task: Task) -> tuple[Any, str]:
        return task.fields[self._field], task.id

    def page(self, items: Sequence[Task], after: tuple[Any, str] | None) -> TaskPage:
        encode: Any = cursors.encode_key if self._field in _TEXTS else cursors.encode
        return TaskPage.model_construct(
            items=tuple(task.view(self._user) for task in items),
            next_cursor=encode(*after, self._bound) if after else None,
        )
