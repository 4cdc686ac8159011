"""Every event leaves one audit record, however often it is told."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.activity.audit import AuditTrail
from shared.documents import Create, Delete, DocumentStore, Update
from shared.errors import MalformedRequest, NotFound, Unavailable
from shared.events.model import Delivered, delivered
from shared.events.outbox import MemoryPublisher, Outbox, stored
from shared.identity.departed import REMEMBERED, Departed
from shared.identity.model import AccountErased
from shared.ids import new_id
from shared.media.model import MediaDeleted, MediaReady, MediaRejected, MediaTrashed
from tests.fixtures.stores import Budget, WatchedDocuments

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"


def told(identifier: str | None = None, data: Any = None, **changes: Any) -> Delivered:
    body = {"id": "x", "occurredAt": "2026-11-25T11:59:59Z", "owner": "ada"} | changes
    raw = data if isinstance(data, bytes) else json.dumps(body).encode()
    return Delivered(identifier or new_id(), "snaptask.media.v1.ready", raw, TRACE)


def records(documents: DocumentStore) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in doc.data.items() if name != "commitId"}
        for doc in documents.query("audit", limit=1000)
    ]


def test_an_event_is_recorded_with_whose_it_is_and_when(documents: DocumentStore) -> None:
    event = told(mediaId="m", generation="7")
    AuditTrail(documents, Departed(documents), lambda: NOON).record(event)
    assert records(documents) == [
        {
            "type": "snaptask.media.v1.ready",
            "owner": "ada",
            "event": json.loads(event.data),
            "traceparent": TRACE,
            "occurredAt": "2026-11-25T11:59:59Z",
            "recordedAt": NOON,
            "at": NOON - timedelta(seconds=1),
            "schemaVersion": 2,
        }
    ]


def test_an_event_told_many_times_at_once_leaves_one_record(documents: DocumentStore) -> None:
    events = [told() for _ in range(5)]
    trail = AuditTrail(documents, Departed(documents))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(trail.record, events * 6))
    assert len(records(documents)) == 5


def test_the_first_record_stays_as_it_is(documents: DocumentStore) -> None:
    """Whoever can send a message of ours again must not rewrite what was recorded."""
    identifier = new_id()
    trail = AuditTrail(documents, Departed(documents), lambda: NOON)
    trail.record(told(identifier))
    before = records(documents)
    trail.record(told(identifier, owner="mallory"))
    assert records(documents) == before


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b"{}",
        b'{"owner": 7}',
        b'{"owner": null}',
        b'{"owner":"a","owner":"b"}',
        b"[" * 100_000,
        b'{"owner":"\\ud800"}',
    ],
    ids=lambda data: str(data[:20]),
)
def test_what_names_no_owner_is_malformed(documents: DocumentStore, data: bytes) -> None:
    with pytest.raises(MalformedRequest):
        AuditTrail(documents, Departed(documents)).record(told(data=data))
    assert records(documents) == []


@pytest.mark.parametrize("identifier", ["..", "a/b", "__x__", "x", "A" * 20, "é" * 20])
def test_an_id_that_is_none_of_ours_becomes_no_path(
    documents: DocumentStore, identifier: str
) -> None:
    with pytest.raises(NotFound):
        AuditTrail(documents, Departed(documents)).record(told(identifier))
    assert records(documents) == []


def test_a_store_out_of_reach_is_told_so_that_the_event_comes_again(
    documents: DocumentStore,
) -> None:
    event, down = told(), [True]

    def watch(name: str, _: int) -> None:
        # Once it never gets there, once only its answer is lost.
        if down and name == ("commit" if down[-1] else "after commit"):
            down.pop()
            raise Unavailable

    watched = WatchedDocuments(documents, watch)
    trail = AuditTrail(watched, Departed(watched))
    with pytest.raises(Unavailable):
        trail.record(event)
    down.append(False)
    with pytest.raises(Unavailable):
        trail.record(event)
    trail.record(event)
    assert len(records(documents)) == 1


def test_every_event_of_the_product_is_one_the_trail_takes(documents: DocumentStore) -> None:
    common = {"occurred_at": NOON, "owner": "ada", "media_id": "m"}
    events = [
        MediaReady(id=new_id(), generation="7", **common),
        MediaRejected(id=new_id(), reason="truncated", **common),
        MediaTrashed(id=new_id(), **common),
        MediaDeleted(id=new_id(), **common),
    ]
    documents.commit([stored(event, TRACE) for event in events])
    publisher = MemoryPublisher()
    Outbox(documents, publisher).sweep()
    trail = AuditTrail(documents, Departed(documents))
    for data, attributes in publisher.messages * 3:
        message = {"data": base64.b64encode(data).decode(), "attributes": attributes}
        trail.record(delivered(message))
    assert sorted(record["type"] for record in records(documents)) == sorted(
        event.type for event in events
    )
    assert {record["owner"] for record in records(documents)} == {"ada"}


def last_of(owner: str) -> Delivered:
    event = AccountErased(id=new_id(), occurred_at=NOON, owner=owner)
    return Delivered(event.id, event.type, event.model_dump_json(by_alias=True).encode(), TRACE)


def test_of_who_leaves_nothing_is_recorded_any_more_but_that_he_left(
    documents: DocumentStore,
) -> None:
    """A dead letter may be told again after days."""
    ada, bob = new_id(), new_id()
    documents.commit([Create(f"users/{one}", {"email": "x"}) for one in (ada, bob)])
    documents.commit([Update(f"users/{ada}", {"erasingAt": NOON})])
    AuditTrail(documents, Departed(documents)).record(told(owner=ada))
    assert records(documents) == []
    documents.commit([Delete(f"users/{ada}"), Create(f"tombstones/{ada}", {"erasedAt": NOON})])
    trail = AuditTrail(documents, Departed(documents))
    for event in (told(owner=ada), last_of(ada), told(owner=bob), told(owner="")):
        trail.record(event)
    assert sorted(record["owner"] for record in records(documents)) == sorted(["", ada, bob])
    assert {one["type"] for one in records(documents) if one["owner"] == ada} == {
        "snaptask.identity.v1.account-erased"
    }


def test_somebody_is_asked_after_once_in_half_a_minute(documents: DocumentStore) -> None:
    ada, now, budget = new_id(), [0.0], Budget()
    documents.commit([Create(f"users/{ada}", {"email": "x"})])
    departed = Departed(WatchedDocuments(documents, budget), ticks=lambda: now[0])
    for _ in range(3):
        assert not departed.has_left(ada)
    assert budget.taken() == {"get": 1}
    documents.commit([Update(f"users/{ada}", {"erasingAt": NOON})])
    now[0] += REMEMBERED
    for _ in range(2):
        assert departed.has_left(ada)
    assert budget.taken() == {"get": 2}


def test_it_remembers_no_more_people_than_it_may(documents: DocumentStore) -> None:
    people, budget = [new_id() for _ in range(3)], Budget()
    departed = Departed(WatchedDocuments(documents, budget), most=2)
    for one in (*people, *people[1:]):
        assert not departed.has_left(one)
    assert budget.taken() == {"get": 3}
    departed.has_left(people[0])
    assert budget.taken() == {"get": 1}
