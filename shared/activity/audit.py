"""The audit trail: one record per event, written by whoever gets the event first.

The record's id is the event's, so that any number of deliveries leave one record. One about a task
names it, so that the task's history can be read (history.py).

Of somebody who left nothing is recorded any more but that he did: his records are gone, and an
event that was late, or is told again after days, must not bring them back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.documents import AlreadyExists, Create, DocumentStore
from shared.errors import MalformedRequest
from shared.events.model import Delivered
from shared.http.json import loads
from shared.ids import checked_id

SCHEMA_VERSION = 2
# The last of everybody, which his tombstone is there for.
_LAST = "snaptask.identity.v1.account-erased"


class Owners(Protocol):
    """What the trail needs to know of people."""

    def has_left(self, user: str) -> bool:
        """Also of one who is leaving."""
        ...


class AuditTrail:
    def __init__(
        self,
        documents: DocumentStore,
        owners: Owners,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._owners = owners
        self._clock = clock

    def record(self, event: Delivered) -> None:
        """Raises MalformedRequest or NotFound for what is no event of ours, which its
        subscription dead-letters in the end."""
        data: Any = loads(event.data)
        if not isinstance(data, dict) or not isinstance(data.get("owner"), str):
            raise MalformedRequest("The event names no owner")
        path = f"audit/{checked_id(event.id)}"
        if event.type != _LAST and self._owners.has_left(data["owner"]):
            return
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
            self._documents.commit([Create(path, record)])
        except AlreadyExists:
            return


def _moment(value: object) -> datetime | None:
    """As a moment, which sorts; the texts of two moments do not always."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.astimezone(UTC) if found is not None and found.tzinfo else None
    except (ValueError, OverflowError):
        return None
