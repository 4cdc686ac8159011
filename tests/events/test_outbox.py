"""An event leaves the outbox once it is published, whatever breaks in between."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import ClassVar

import pytest

from shared.documents import AlreadyExists, Create, DocumentStore, Set
from shared.errors import Unavailable
from shared.events import outbox as outbox_module
from shared.events.model import Event, delivered
from shared.events.outbox import MemoryPublisher, Outbox, Refused, stored
from tests.fixtures.stores import WatchedDocuments

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


class Happened(Event):
    type: ClassVar[str] = "snaptask.test.v1.happened"
    media_id: str


def happened(identifier: str, minute: int = 0) -> Happened:
    moment = NOON + timedelta(minutes=minute)
    return Happened(id=identifier, occurred_at=moment, owner="u", media_id="m")


def ids(publisher: MemoryPublisher) -> list[str]:
    return [attributes["id"] for _, attributes in publisher.messages]


def waiting(documents: DocumentStore) -> list[str]:
    return [doc.id for doc in documents.query("outbox")]


def test_an_event_is_stored_with_its_cause_or_not_at_all(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {}), stored(happened("e1"))])
    with pytest.raises(AlreadyExists):
        documents.commit([Create("things/one", {}), stored(happened("e2"))])
    assert waiting(documents) == ["e1"]


@pytest.mark.parametrize("trace", [TRACE, None])
def test_flush_publishes_what_was_stored_and_forgets_it(
    documents: DocumentStore, trace: str | None
) -> None:
    publisher = MemoryPublisher()
    documents.commit([stored(happened("e1"), trace)])
    Outbox(documents, publisher).flush("e1")
    ((data, attributes),) = publisher.messages
    assert json.loads(data) == {
        "id": "e1",
        "occurredAt": "2026-11-25T12:00:00Z",
        "owner": "u",
        "mediaId": "m",
    }
    assert attributes == {"id": "e1", "type": Happened.type} | (
        {"traceparent": trace} if trace else {}
    )
    assert waiting(documents) == []


def test_what_was_published_is_read_back_as_delivered(documents: DocumentStore) -> None:
    publisher = MemoryPublisher()
    documents.commit([stored(happened("e1"), TRACE)])
    Outbox(documents, publisher).sweep()
    ((data, attributes),) = publisher.messages
    seen = delivered({"data": base64.b64encode(data).decode(), "attributes": attributes})
    assert (seen.id, seen.type, seen.traceparent) == ("e1", Happened.type, TRACE)
    assert Happened.model_validate_json(seen.data) == happened("e1")


def test_flushing_what_was_swept_already_publishes_nothing(documents: DocumentStore) -> None:
    publisher = MemoryPublisher()
    outbox = Outbox(documents, publisher)
    documents.commit([stored(happened("e1"))])
    assert outbox.sweep() == 1
    outbox.flush("e1")
    outbox.flush("never")
    assert ids(publisher) == ["e1"]


def test_a_topic_out_of_reach_leaves_the_event_for_the_sweep(documents: DocumentStore) -> None:
    publisher = MemoryPublisher()
    outbox = Outbox(documents, publisher)
    documents.commit([stored(happened("e1"))])
    publisher.broken = True
    outbox.flush("e1")
    with pytest.raises(Unavailable):
        outbox.sweep()
    assert waiting(documents) == ["e1"]
    publisher.broken = False
    assert outbox.sweep() == 1
    assert (ids(publisher), waiting(documents)) == (["e1"], [])


@pytest.mark.parametrize("call", ["flush", "sweep"])
def test_a_crash_between_publishing_and_forgetting_publishes_the_same_id_again(
    documents: DocumentStore, call: str
) -> None:
    publisher = MemoryPublisher()
    documents.commit([stored(happened("e1"))])

    def crash(name: str, _: int) -> None:
        if name == "commit":
            raise Unavailable

    dying = Outbox(WatchedDocuments(documents, crash), publisher)
    if call == "flush":
        dying.flush("e1")
    else:
        with pytest.raises(Unavailable):
            dying.sweep()
    assert waiting(documents) == ["e1"]
    Outbox(documents, publisher).sweep()
    assert ids(publisher) == ["e1", "e1"]
    assert publisher.messages[0] == publisher.messages[1]
    assert waiting(documents) == []


def test_the_sweep_takes_the_oldest_first_and_all_in_the_end(documents: DocumentStore) -> None:
    for first in range(0, 450, 90):
        documents.commit(
            [stored(happened(f"e{n:03}", minute=1000 - n)) for n in range(first, first + 90)]
        )
    publisher = MemoryPublisher()
    outbox = Outbox(documents, publisher)
    assert [outbox.sweep(), outbox.sweep()] == [450, 0]
    assert ids(publisher) == [f"e{n:03}" for n in reversed(range(450))]
    assert waiting(documents) == []


def test_a_sweep_that_takes_long_leaves_the_rest_to_the_next(
    documents: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents.commit([stored(happened(f"e{n:03}", minute=n)) for n in range(240)])
    documents.commit([stored(happened(f"e{n:03}", minute=n)) for n in range(240, 450)])
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(outbox_module, "time", SimpleNamespace(monotonic=lambda: clock.now))

    class Slow(MemoryPublisher):
        def publish(self, messages: object) -> None:
            super().publish(messages)  # type: ignore[arg-type]
            clock.now += 50

    publisher = Slow()
    outbox = Outbox(documents, publisher)
    assert [outbox.sweep() for _ in range(3)] == [200, 200, 50]
    assert ids(publisher) == [f"e{n:03}" for n in range(450)]


def test_sweeps_and_flushes_at_once_lose_nothing(documents: DocumentStore) -> None:
    documents.commit([stored(happened(f"e{n}")) for n in range(40)])
    publisher = MemoryPublisher()
    outbox = Outbox(documents, publisher)
    with ThreadPoolExecutor(8) as threads:
        for n in range(40):
            threads.submit(outbox.flush, f"e{n}")
            if n % 10 == 0:
                threads.submit(outbox.sweep)
    outbox.sweep()
    assert set(ids(publisher)) == {f"e{n}" for n in range(40)}
    assert waiting(documents) == []


def test_an_event_stored_while_the_sweep_publishes_stays_for_the_next(
    documents: DocumentStore,
) -> None:
    documents.commit([stored(happened("e1"))])

    class Slow(MemoryPublisher):
        def publish(self, messages: object) -> None:
            super().publish(messages)  # type: ignore[arg-type]
            documents.commit([Set("things/x", {}), stored(happened(f"late{len(self.messages)}"))])

    publisher = Slow()
    assert Outbox(documents, publisher).sweep() == 1
    assert waiting(documents) == ["late1"]


class Choosy(MemoryPublisher):
    """A topic that takes no batch with a message of `poison` in it."""

    def __init__(self, *poison: str) -> None:
        super().__init__()
        self.poison = set(poison)

    def publish(self, messages: Sequence[tuple[bytes, dict[str, str]]]) -> None:
        if self.poison & {attributes["id"] for _, attributes in messages}:
            raise Refused
        super().publish(messages)


def test_an_event_that_the_topic_refuses_stays_and_holds_up_no_other(
    documents: DocumentStore,
) -> None:
    for first in range(0, 450, 150):
        documents.commit(
            [stored(happened(f"e{n:03}", minute=n)) for n in range(first, first + 150)]
        )
    poison = ("e000", "e007", "e199", "e200", "e449")
    publisher = Choosy(*poison)
    outbox = Outbox(documents, publisher)
    assert [outbox.sweep(), outbox.sweep()] == [445, 0]
    assert set(ids(publisher)) == {f"e{n:03}" for n in range(450)} - set(poison)
    assert len(ids(publisher)) == 445
    assert sorted(waiting(documents)) == sorted(poison)
    publisher.poison.clear()
    assert outbox.sweep() == 5
    assert waiting(documents) == []


def test_a_whole_batch_of_refused_events_lets_those_behind_it_pass(
    documents: DocumentStore,
) -> None:
    poison = [f"a{n:03}" for n in range(210)]
    for first in (0, 105):
        documents.commit([stored(happened(one)) for one in poison[first : first + 105]])
    documents.commit([stored(happened("b", minute=1))])
    publisher = Choosy(*poison)
    assert Outbox(documents, publisher).sweep() == 1
    assert ids(publisher) == ["b"]


def test_flushing_a_refused_event_fails_nobody(documents: DocumentStore) -> None:
    documents.commit([stored(happened("e1"))])
    Outbox(documents, Choosy("e1")).flush("e1")
    assert waiting(documents) == ["e1"]


def test_two_sweeps_at_once_publish_everything_and_leave_nothing(documents: DocumentStore) -> None:
    for first in (0, 150):
        documents.commit([stored(happened(f"e{n:03}")) for n in range(first, first + 150)])
    publisher = MemoryPublisher()
    with ThreadPoolExecutor(3) as threads:
        for _ in range(3):
            threads.submit(Outbox(documents, publisher).sweep)
    assert set(ids(publisher)) == {f"e{n:03}" for n in range(300)}
    assert waiting(documents) == []
