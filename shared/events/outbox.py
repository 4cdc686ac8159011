"""The outbox: an event is stored in the commit that makes it true, and leaves when published.

The collection holds exactly what is not yet published. Whoever publishes deletes afterwards; a
crash in between publishes twice, and consumers know an event by its id.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from shared.documents import Create, Delete, Document, DocumentStore, Order
from shared.documents.model import KEY
from shared.errors import Unavailable
from shared.events.model import Event
from shared.signals import seconds_between, signal

# One call of Pub/Sub takes up to 1,000 messages and one commit of ours 500 writes.
_BATCH = 200
# Seconds. The schedule starts a sweep a minute, and one should end before the next begins.
_SWEEP = 45.0
_log = logging.getLogger(__name__)


class Refused(Unavailable):
    """The topic takes none of these messages, because of one of them, however often it is asked."""


class Publisher(Protocol):
    def publish(self, messages: Sequence[tuple[bytes, dict[str, str]]]) -> None:
        """Hand (data, attributes) to the topic and wait for its answer; raises Unavailable, and
        Refused for what no other try would change."""
        ...


class MemoryPublisher:
    """Keeps what was published; `broken` makes it refuse, as a topic out of reach would."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, dict[str, str]]] = []
        self.broken = False

    def publish(self, messages: Sequence[tuple[bytes, dict[str, str]]]) -> None:
        if self.broken:
            raise Unavailable
        self.messages.extend(messages)


def stored(event: Event, traceparent: str | None = None) -> Create:
    """The write that belongs into the commit which makes `event` true."""
    return Create(
        f"outbox/{event.id}",
        {
            "type": event.type,
            "data": event.model_dump_json(by_alias=True).encode(),
            "traceparent": traceparent,
            "createdAt": event.occurred_at,
        },
    )


class Outbox:
    def __init__(self, documents: DocumentStore, publisher: Publisher) -> None:
        self._documents = documents
        self._publisher = publisher

    def flush(self, *event_ids: str) -> None:
        """Publish events at once, in that order. Failing costs nothing but time: the sweep comes
        after."""
        paths = [f"outbox/{event_id}" for event_id in event_ids]
        try:
            found = self._documents.get_all(paths)
            if found:
                self._send([found[path] for path in paths if path in found])
        except Unavailable:
            _log.warning("outbox: %s stays for the sweep", ", ".join(event_ids))

    def sweep(self) -> int:
        """Publish what waits, the oldest first; returns how many. One that the topic refuses
        stays and holds up no other. Raises Unavailable."""
        end = time.monotonic() + _SWEEP
        order: list[Order] = [("createdAt", "ASCENDING"), (KEY, "ASCENDING")]
        count, after = 0, None
        while time.monotonic() < end:
            waiting = self._documents.query("outbox", order=order, start_after=after, limit=_BATCH)
            if waiting and after is None and not count:
                oldest = waiting[0].data["createdAt"]
                signal("outbox.waiting", seconds=seconds_between(oldest, datetime.now(UTC)))
            left = self._sent_or_refused(waiting)
            count += len(waiting) - left
            if len(waiting) < _BATCH:
                break
            # Only past what stays: an event that was stored late may be older than the last one.
            after = (waiting[-1].data["createdAt"], waiting[-1].id) if left else after
        return count

    def _sent_or_refused(self, waiting: Sequence[Document]) -> int:
        """How many the topic refuses: found one by one, once it refused them together."""
        if not waiting:
            return 0
        try:
            self._send(waiting)
        except Refused:
            if len(waiting) == 1:
                _log.exception("outbox: no topic takes %s", waiting[0].id)
                return 1
            half = len(waiting) // 2
            return sum(map(self._sent_or_refused, (waiting[:half], waiting[half:])))
        return 0

    def _send(self, waiting: Sequence[Document]) -> None:
        self._publisher.publish([_message(document) for document in waiting])
        self._documents.commit([Delete(document.path) for document in waiting])


def _message(document: Document) -> tuple[bytes, dict[str, str]]:
    attributes = {"id": document.id, "type": str(document.data["type"])}
    if document.data.get("traceparent"):
        attributes["traceparent"] = str(document.data["traceparent"])
    return bytes(document.data["data"]), attributes
