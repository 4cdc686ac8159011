"""Dead letters: kept with all that is known of them, until a person replays or drops them.

One record per event and subscription, whatever happens: a letter that is delivered twice is
counted once, one that was replayed and died again updates its record. Nothing here replays by
itself, so an event that kills its consumer cannot go round in circles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from shared.documents import (
    AlreadyExists,
    Create,
    Document,
    DocumentStore,
    Order,
    PreconditionFailed,
    Update,
)
from shared.errors import Unavailable
from shared.events.failures import SOURCE, Failures, Message, message_key, raw_message
from shared.events.model import checked_traceparent
from shared.events.outbox import Publisher
from shared.ids import derived_id

State = Literal["dead", "replayed", "dropped"]
SCHEMA_VERSION = 1
_COUNT = "CloudPubSubDeadLetterSourceDeliveryCount"
_NEWEST_FIRST: tuple[Order, ...] = (("lastAt", "DESCENDING"), ("__name__", "DESCENDING"))
# Deliveries of one letter that are told apart. A letter comes twice within minutes, and dies anew
# only after a person acted.
_SEEN = 20
# For looking back at what was replayed or dropped.
_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Letter:
    """`deaths` counts how often it died, `attempts` the deliveries before the last time."""

    id: str
    state: State
    source: str
    message: Message
    fields: Mapping[str, Any]
    version: Any

    @classmethod
    def from_document(cls, document: Document) -> Letter:
        data = document.data
        message = (bytes(data["data"]), dict(json.loads(data["attributes"])))
        return cls(document.id, data["state"], str(data["source"]), message, data, document.version)


class DeadLetters:
    def __init__(
        self, documents: DocumentStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._documents = documents
        self._failures = Failures(documents)
        self._clock = clock

    def keep(self, message: Mapping[str, Any]) -> None:
        """Take in a message of the dead-letter topic. Raises MalformedRequest, Unavailable."""
        data, attributes = raw_message(message)
        source = attributes.get(SOURCE, "").rpartition("/")[2] or "unknown"
        key = message_key(data, attributes)
        delivery = f"{message.get('messageId')}@{message.get('publishTime')}"
        now = self._clock()
        death = {
            "state": "dead",
            "lastError": self._failures.last(source, key) or attributes.get("lastError"),
            "attempts": _number(attributes.get(_COUNT)),
            "lastAt": now,
        }
        path = f"deadLetters/{derived_id('deadletter', source, key)}"
        present = self._documents.get(path)
        try:
            if present is None:
                kept = _kept(source, data, attributes, now) | {"seen": [delivery], "deaths": 1}
                self._documents.commit([Create(path, kept | death)])
            elif delivery not in present.data["seen"]:
                again = {
                    "seen": [*present.data["seen"], delivery][-_SEEN:],
                    "deaths": int(present.data["deaths"]) + 1,
                }
                fields = again | death
                self._documents.commit(
                    [Update(path, fields, remove=("expireAt",), version=present.version)]
                )
        except (AlreadyExists, PreconditionFailed):
            raise Unavailable("The same letter twice at once") from None

    def find(
        self, state: State, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[Letter]:
        found = self._documents.query(
            "deadLetters",
            where=[("state", "==", state)],
            order=_NEWEST_FIRST,
            start_after=after,
            limit=limit,
        )
        return [Letter.from_document(document) for document in found]

    def get(self, letter_id: str) -> Letter | None:
        document = self._documents.get(f"deadLetters/{letter_id}")
        return Letter.from_document(document) if document else None

    def replay(self, letter: Letter, publisher: Publisher) -> bool:
        """Publish it again; False for one that is not dead any more. A crash after publishing
        leaves it dead, and replaying it twice is harmless: a consumer knows an event by its id.
        """
        if letter.state != "dead":
            return False
        data, attributes = letter.message
        publisher.publish([(data, attributes)])
        replays = int(letter.fields.get("replays", 0)) + 1
        # Died again meanwhile, or replayed by somebody else: the record says that already.
        with suppress(PreconditionFailed):
            self._end(letter, "replayed", {"replays": replays, "replayedAt": self._clock()})
        return True

    def drop(self, letter: Letter) -> bool:
        """Give it up; False for one that is not dead, or no longer as it was looked at."""
        if letter.state != "dead":
            return False
        try:
            self._end(letter, "dropped", {})
        except PreconditionFailed:
            return False
        return True

    def _end(self, letter: Letter, state: State, fields: Mapping[str, Any]) -> None:
        changed = {**fields, "state": state, "expireAt": self._clock() + _KEPT}
        self._documents.commit(
            [Update(f"deadLetters/{letter.id}", changed, version=letter.version)]
        )


def _kept(source: str, data: bytes, attributes: Mapping[str, str], now: datetime) -> dict[str, Any]:
    own = {name: value for name, value in attributes.items() if not name.startswith("CloudPubSub")}
    return {
        "source": source,
        "data": data,
        "attributes": json.dumps(own, sort_keys=True),
        "type": attributes.get("type") or attributes.get("eventType"),
        "eventId": attributes.get("id"),
        "traceparent": checked_traceparent(attributes.get("traceparent")),
        "firstAt": now,
        "replays": 0,
        "schemaVersion": SCHEMA_VERSION,
    }


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
