"""A task's part of the audit trail, as its members may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.documents import Document, DocumentStore, Order

_NEWEST_FIRST: tuple[Order, ...] = (("at", "DESCENDING"), ("__name__", "DESCENDING"))
# Said by the entry itself, or known to who asks.
_NOT_DETAILS = frozenset(("id", "owner", "actor", "occurredAt", "taskId"))


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    type: str
    actor: str | None
    occurred_at: datetime
    details: Mapping[str, str | list[str]]


class TaskHistory:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def of_task(self, task_id: str, after: tuple[datetime, str] | None, limit: int) -> list[Entry]:
        """The newest first. Events hold ids and names of fields, so no entry holds more."""
        found = self._documents.query(
            "audit",
            where=[("task", "==", task_id)],
            order=_NEWEST_FIRST,
            start_after=after,
            limit=limit,
        )
        return [_entry(document) for document in found]


def _entry(document: Document) -> Entry:
    event: Mapping[str, Any] = document.data["event"]
    actor = event.get("actor")
    details = {
        name: value
        for name, value in event.items()
        if name not in _NOT_DETAILS and (isinstance(value, str) or _are_texts(value))
    }
    return Entry(
        document.id,
        str(document.data["type"]),
        actor if isinstance(actor, str) else None,
        document.data["at"],
        details,
    )


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
