"""What failed too often is kept once, with all that is known of it, and goes round no circles."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from shared.documents import DocumentStore
from shared.errors import MalformedRequest, Unavailable
from shared.events.deadletters import DeadLetters, Letter
from shared.events.failures import (
    REDRIVE,
    SOURCE,
    Delivery,
    Failures,
    message_key,
    told_again,
)
from shared.events.http import FINALIZED, Receiver
from shared.events.model import FinalizedObject, notification
from shared.events.outbox import MemoryPublisher
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tools.deadletters import replay_all

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
SUBSCRIPTION = "projects/p/subscriptions/activity"
EVENT = FinalizedObject("inbox", "uploads/a", 7, 10, "image/png", "AAAAAA==", TRACE)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def pushed(number: int = 1, data: bytes = b"{}", **attributes: str) -> dict[str, Any]:
    """A dead letter as Pub/Sub pushes it; `number` tells its delivery to the topic."""
    dead = {SOURCE: SUBSCRIPTION, "CloudPubSubDeadLetterSourceDeliveryCount": "10"}
    return {
        "messageId": str(number),
        "publishTime": "2026-11-25T12:00:00Z",
        "data": base64.b64encode(data).decode(),
        "attributes": {"id": "e1", "type": "t", "traceparent": TRACE} | dead | attributes,
    }


def only(kept: DeadLetters, state: Any = "dead") -> Letter:
    (letter,) = kept.find(state, 100)
    return letter


def test_a_letter_is_kept_with_what_is_known_of_it(documents: DocumentStore) -> None:
    failed = Delivery("activity", (b"{}", {"id": "e1"}))
    Failures(documents).note(failed, ValueError("the colour is unknown"))
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed(data=b'{"a":1}'))
    letter = only(kept)
    assert letter.source == "activity"
    assert letter.message == (b'{"a":1}', {"id": "e1", "type": "t", "traceparent": TRACE})
    fields = letter.fields
    assert fields["lastError"] == "ValueError: the colour is unknown"
    assert (fields["attempts"], fields["deaths"], fields["traceparent"]) == (10, 1, TRACE)
    assert (fields["firstAt"], fields["lastAt"]) == (NOON, NOON)
    assert kept.get(letter.id) == letter


def test_a_letter_delivered_again_and_again_is_counted_once(documents: DocumentStore) -> None:
    kept = DeadLetters(documents, Clock())
    for number in (1, 1, 2, 1, 2, 2):
        kept.keep(pushed(number))
    assert only(kept).fields["deaths"] == 2


def test_a_late_delivery_does_not_bring_a_replayed_letter_back(documents: DocumentStore) -> None:
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed())
    kept.replay(only(kept), MemoryPublisher())
    kept.keep(pushed())
    assert only(kept, "replayed").fields["deaths"] == 1


def test_one_that_dies_again_after_a_replay_updates_its_record(documents: DocumentStore) -> None:
    clock, publisher = Clock(), MemoryPublisher()
    kept = DeadLetters(documents, clock)
    for number in range(1, 4):
        clock.now += timedelta(hours=1)
        kept.keep(pushed(number))
        letter = only(kept)
        assert (letter.fields["deaths"], letter.fields["replays"]) == (number, number - 1)
        assert "expireAt" not in letter.fields, "a dead letter waits for a person, however long"
        assert kept.replay(letter, publisher)
    assert letter.fields["firstAt"] < letter.fields["lastAt"]
    assert only(kept, "replayed").fields["expireAt"] > clock.now


def test_a_replay_is_the_message_that_was_and_happens_once(documents: DocumentStore) -> None:
    publisher = MemoryPublisher()
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed(data=b"\xff\x00"))
    letter = only(kept)
    assert kept.replay(letter, publisher)
    assert publisher.messages == [(b"\xff\x00", {"id": "e1", "type": "t", "traceparent": TRACE})]
    assert not kept.replay(only(kept, "replayed"), publisher)
    assert len(publisher.messages) == 1


def test_a_topic_out_of_reach_leaves_the_letter_dead(documents: DocumentStore) -> None:
    publisher = MemoryPublisher()
    publisher.broken = True
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed())
    with pytest.raises(Unavailable):
        kept.replay(only(kept), publisher)
    assert only(kept).fields["replays"] == 0


def test_a_crash_between_publishing_and_noting_it_leaves_the_letter_dead(
    documents: DocumentStore,
) -> None:
    class Crash(BaseException):
        pass

    def crash(name: str, _: int) -> None:
        if name == "commit":
            raise Crash

    DeadLetters(documents).keep(pushed())
    publisher = MemoryPublisher()
    dying = DeadLetters(WatchedDocuments(documents, crash))
    with pytest.raises(Crash):
        dying.replay(only(dying), publisher)
    kept = DeadLetters(documents)
    assert kept.replay(only(kept), publisher)
    assert publisher.messages[0] == publisher.messages[1]


def test_one_that_died_again_while_it_was_replayed_stays_dead(documents: DocumentStore) -> None:
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed(1))

    class DiesAtOnce(MemoryPublisher):
        def publish(self, messages: Any) -> None:
            super().publish(messages)
            kept.keep(pushed(2))

    assert kept.replay(only(kept), DiesAtOnce())
    assert only(kept).fields["deaths"] == 2


def test_a_dropped_letter_is_not_replayed_and_a_stale_look_drops_nothing(
    documents: DocumentStore,
) -> None:
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed(1))
    stale = only(kept)
    kept.keep(pushed(2))
    assert not kept.drop(stale)
    assert kept.drop(only(kept))
    dropped = only(kept, "dropped")
    publisher = MemoryPublisher()
    assert not kept.replay(dropped, publisher)
    assert not kept.drop(dropped)
    assert publisher.messages == []


@pytest.mark.parametrize(
    "message",
    [
        {"messageId": "1"},
        {"messageId": "1", "attributes": None, "data": ""},
        {"messageId": "1", "attributes": {"id": "../x" * 900}, "data": "eA=="},
        {"messageId": "1", "attributes": {"": "", "__x__": "1", "a.b": "2"}, "data": "/w=="},
    ],
    ids=["nothing in it", "null", "a long id", "odd names"],
)
def test_whatever_died_can_be_kept_and_replayed_as_it_was(
    documents: DocumentStore, message: dict[str, Any]
) -> None:
    kept, publisher = DeadLetters(documents, Clock()), MemoryPublisher()
    for _ in range(2):
        kept.keep(message)
    letter = only(kept)
    assert letter.source == "unknown"
    assert kept.replay(letter, publisher)
    assert publisher.messages[0][1] == (message.get("attributes") or {})


@pytest.mark.parametrize("message", [{"data": "ä"}, {"data": "eA="}, {"attributes": ["x"]}])
def test_what_pubsub_would_not_send_is_refused(message: dict[str, Any]) -> None:

    with pytest.raises(MalformedRequest):
        DeadLetters(memory_documents()).keep(message)


def test_a_replay_of_all_keeps_its_pace_and_leaves_what_has_no_subscription(
    documents: DocumentStore, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = DeadLetters(documents, Clock())
    for number in range(6):
        kept.keep(pushed(number, id=f"e{number}"))
    kept.keep(pushed(9, **{SOURCE: "projects/p/subscriptions/of-last-year"}))
    topics: dict[str, MemoryPublisher] = {}
    pauses: list[float] = []

    def publisher(topic: str) -> MemoryPublisher:
        return topics.setdefault(topic, MemoryPublisher())

    for wanted in (6, 0):
        letters = kept.find("dead", 100)
        assert replay_all(kept, letters, publisher, 4.0, pauses.append) == wanted
    assert pauses == [0.25] * 5
    assert {name: len(one.messages) for name, one in topics.items()} == {"snaptask-events": 6}
    assert "of-last-year" in capsys.readouterr().err


# What failed, and what is about to be forgotten


class Handler:
    """A finalize handler that fails, behind the receiver that Eventarc calls."""

    def __init__(self, documents: DocumentStore) -> None:
        self.clock = Clock()
        self.letters = MemoryPublisher()
        self.failures = Failures(documents, self.letters, self.clock)
        self.error: Exception | None = Unavailable("storage is out")
        self.receiver = Receiver("thumbnails", None, on_finalized=self, failures=self.failures)

    def __call__(self, event: FinalizedObject) -> None:
        if self.error:
            raise self.error

    def tell(self, told_at: str | None) -> int:

        resource = json.loads(told_again(EVENT)[0])
        headers = {"ce-type": FINALIZED} | ({"ce-time": told_at} if told_at else {})
        data = json.dumps(resource)
        environ = EnvironBuilder("/", method="POST", headers=headers, data=data).get_environ()
        return self.receiver(Request(environ)).status_code


def test_the_last_error_of_an_event_is_kept(documents: DocumentStore) -> None:
    handler = Handler(documents)
    key = message_key(*told_again(EVENT))
    assert handler.tell("2026-11-25T11:59:00Z") == 503
    assert handler.failures.last(REDRIVE, key) == "Unavailable: storage is out"
    handler.error = RuntimeError("x" * 5000)
    assert handler.tell("2026-11-25T11:59:00Z") == 500
    assert str(handler.failures.last(REDRIVE, key)).startswith("RuntimeError: xxx")
    assert len(str(handler.failures.last(REDRIVE, key))) <= 500
    assert handler.letters.messages == []


def test_an_event_about_to_be_forgotten_becomes_a_dead_letter_and_is_acknowledged(
    documents: DocumentStore,
) -> None:
    handler = Handler(documents)
    handler.clock.now += timedelta(hours=19)
    assert handler.tell("2026-11-25T12:00:00Z") == 503
    handler.clock.now += timedelta(hours=2)
    assert handler.tell("2026-11-25T12:00:00Z") == 204
    ((data, attributes),) = handler.letters.messages
    kept = DeadLetters(documents, Clock())
    kept.keep(pushed(data=data) | {"attributes": attributes})
    letter = only(kept)
    assert (letter.source, letter.fields["lastError"]) == (REDRIVE, "Unavailable: storage is out")
    publisher = MemoryPublisher()
    assert kept.replay(letter, publisher)
    ((data, _),) = publisher.messages
    assert notification({"data": base64.b64encode(data).decode()}) == EVENT


def test_an_old_event_that_succeeds_is_no_dead_letter(documents: DocumentStore) -> None:
    handler = Handler(documents)
    handler.error = None
    assert handler.tell("2026-11-01T12:00:00Z") == 204
    assert handler.letters.messages == []


@pytest.mark.parametrize("told_at", [None, "", "soon", "2026-11-01T12:00:00", "9" * 5000])
def test_an_event_without_a_time_comes_again(documents: DocumentStore, told_at: str | None) -> None:
    handler = Handler(documents)
    assert handler.tell(told_at) == 503
    assert handler.letters.messages == []


def test_with_the_topic_out_as_well_the_event_comes_again(documents: DocumentStore) -> None:
    handler = Handler(documents)
    handler.letters.broken = True
    assert handler.tell("2026-11-01T12:00:00Z") == 503


def test_with_the_database_out_the_event_is_saved_all_the_same() -> None:

    def out(name: str, _: int) -> None:
        raise Unavailable

    handler = Handler(WatchedDocuments(memory_documents(), out))
    assert handler.tell("2026-11-01T12:00:00Z") == 204
    assert len(handler.letters.messages) == 1


def test_a_message_of_a_subscription_dies_by_its_own_policy(documents: DocumentStore) -> None:
    """Sent again by Pub/Sub, it must not become two dead letters."""
    letters = MemoryPublisher()
    old = Clock()
    old.now += timedelta(days=3)
    failures = Failures(documents, letters, old)
    assert not failures.note(Delivery("activity", (b"", {"id": "e1"})), ValueError())
    assert letters.messages == []
