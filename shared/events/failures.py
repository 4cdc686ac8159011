"""What went wrong with an event last, and the way out for one that the platform is about to forget.

Pub/Sub hands a message that failed too often to the dead-letter topic, but not why it failed; and
Eventarc hands over nothing at all: it forgets an event after 24 hours. So each failure is noted
under the event's key, where `DeadLetters` finds it, and a finalize event that has grown old is put
on the dead-letter topic by us. Source: Google's "Eventarc: Retry events".
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.documents import DocumentStore, Set
from shared.errors import MalformedRequest, Unavailable
from shared.events.model import FinalizedObject
from shared.events.outbox import Publisher
from shared.ids import derived_id

# The subscription that tells the thumbnails function again of an object: replays go over it.
REDRIVE = "redrive"
SOURCE = "CloudPubSubDeadLetterSourceSubscription"
# Eventarc's tries are at most ten minutes apart, so of its 24 hours enough are left for one that
# comes after this age.
_TOO_OLD = timedelta(hours=20)
# Longer than any event is tried, so that its dead letter still finds the note.
_KEPT = timedelta(days=10)
# An exception may quote what it choked on.
_LONGEST = 500
_log = logging.getLogger(__name__)
Message = tuple[bytes, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try at an event. `source` is the subscription; `told_at` is when Eventarc was told of
    it, and None for a message that dies by its subscription's own policy."""

    source: str
    message: Message
    told_at: datetime | None = None


class Failures:
    """`dead_letters` is given where Eventarc delivers."""

    def __init__(
        self,
        documents: DocumentStore,
        dead_letters: Publisher | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._dead_letters = dead_letters
        self._clock = clock

    def note(self, delivery: Delivery, error: Exception) -> bool:
        """Whether the event is a dead letter now, so that it need not come again."""
        text = f"{type(error).__name__}: {error}"[:_LONGEST]
        now = self._clock()
        try:
            self._documents.commit([_noted(delivery, text, now)])
        except Unavailable:
            _log.warning("failures: the database is out as well; not noted: %s", text)
        told_at = delivery.told_at
        if self._dead_letters is None or told_at is None or now - told_at < _TOO_OLD:
            return False
        try:
            data, attributes = delivery.message
            self._dead_letters.publish([(data, attributes | {SOURCE: delivery.source})])
        except Unavailable:
            return False
        _log.error("failures: too old to be tried again, a dead letter now: %s", text)
        return True

    def last(self, source: str, key: str) -> str | None:
        found = self._documents.get(_path(source, key))
        return str(found.data["error"]) if found else None


def message_key(data: bytes, attributes: Mapping[str, str]) -> str:
    """The same for every delivery of a message, also as a dead letter. Ours have an id; others
    are known by what they hold, but for what Pub/Sub adds to a dead letter."""
    if attributes.get("id"):
        return str(attributes["id"])
    own = sorted(pair for pair in attributes.items() if not pair[0].startswith("CloudPubSub"))
    return hashlib.sha256(json.dumps(own).encode() + data).hexdigest()


def raw_message(message: Mapping[str, Any]) -> Message:
    """Data and attributes of any message: only one that Pub/Sub itself would not send is
    refused, with MalformedRequest."""
    attributes = message.get("attributes") or {}
    if not isinstance(attributes, dict):
        raise MalformedRequest("The attributes are no object")
    try:
        data = base64.b64decode(message.get("data") or "", validate=True)
    except (TypeError, ValueError):
        raise MalformedRequest("The data is not base64") from None
    return data, {str(name): str(value) for name, value in attributes.items()}


def told_again(event: FinalizedObject) -> Message:
    """A storage notification about the object, as `notification` reads it."""
    resource = {
        "bucket": event.bucket,
        "name": event.name,
        "generation": str(event.generation),
        "size": str(event.size),
        "contentType": event.content_type,
        "crc32c": event.crc32c,
        "metadata": {"traceparent": event.traceparent} if event.traceparent else {},
    }
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": event.bucket,
        "objectId": event.name,
        "objectGeneration": str(event.generation),
    }
    return json.dumps(resource, sort_keys=True).encode(), attributes


def _noted(delivery: Delivery, text: str, now: datetime) -> Set:
    key = message_key(*delivery.message)
    data = {"source": delivery.source, "error": text, "at": now, "expireAt": now + _KEPT}
    return Set(_path(delivery.source, key), data)


def _path(source: str, key: str) -> str:
    return f"deliveryErrors/{derived_id('delivery', source, key)}"
