"""The audit trail: one record per event, written by whoever gets the event first.

The record's id is the event's, so that any number of deliveries leave one record. One about a task
names it, so that the task's history can be read (history.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from shared.documents import AlreadyExists, Create, DocumentStore
from shared.errors import MalformedRequest
from shared.events.model import Delivered
from shared.http.json import loads
from shared.ids import checked_id

SCHEMA_VERSION = 2


class AuditTrail:
    def __init__(
        self, documents: DocumentStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._documents = documents
        self._clock = clock

    def record(self, event: Delivered) -> None:
        """Raises MalformedRequest or NotFound for what is no event of ours, which its
        subscription dead-letters in the end."""
        data: Any = loads(event.data)
        if not isinstance(data, dict) or not isinstance(data.get("owner"), str):
            raise MalformedRequest("The event names no owner")
        record = {
            "type": event.type,
            "owner": data["owner"],
            "event": data,
            "traceparent": event.traceparent,
            "occurredAt": data.get("occurredAt"),
            "recordedAt": self._clock(),
            "schemaVersion": SCHEMA_VERSION,
        }
        record["at"] = _moment(data.get("occurredAt")) or record["recordedAt"]
        if isinstance(data.get("taskId"), str):
            record["task"] = data["taskId"]
        try:
            self._documents.commit([Create(f"audit/{checked_id(event.id)}", record)])
        except AlreadyExists:
            return


def _moment(value: object) -> datetime | None:
    """As a moment, which sorts; the texts of two moments do not always."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.astimezone(UTC) if found is not None and found.tzinfo else None
    except (ValueError, OverflowError):
        return None
