"""What a function is sent, compared with what Google documents, field by field."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from google.pubsub_v1 import types

from emulators.platform import events
from emulators.platform.deliveries import routes
from infra.declaration import DECLARATION
from shared.events.model import FinalizedObject, delivered

PUBLISHED = datetime(2026, 11, 25, 10, 0, 0, 250_000, tzinfo=UTC)


def message(data: bytes = b"{}", **attributes: str) -> Any:
    made = types.PubsubMessage(
        data=data, attributes=attributes, message_id="42", publish_time=PUBLISHED
    )
    return types.PubsubMessage.pb(made)


def notification(**changes: str) -> Any:
    fixed = {"eventType": "OBJECT_FINALIZE", "bucketId": "b", "objectId": "a/1"}
    fixed["eventTime"] = "2026-11-25T09:59:59.000Z"
    return message(b'{"name": "a/1"}', **{**fixed, **changes})


def test_an_objects_event_is_eventarcs() -> None:
    sent = events.finalized(notification(), "b")
    assert sent
    assert sent.body == b'{"name": "a/1"}'
    assert {name: sent.headers[name] for name in sent.headers if name != "user-agent"} == {
        "content-type": "application/json",
        "ce-id": "42",
        "ce-source": "//storage.googleapis.com/projects/_/buckets/b",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.storage.object.v1.finalized",
        "ce-subject": "objects/a/1",
        "ce-bucket": "b",
        "ce-time": "2026-11-25T09:59:59.000Z",
    }


@pytest.mark.parametrize(
    ("changes"),
    [{"eventType": "OBJECT_DELETE"}, {"eventType": ""}, {"bucketId": "other"}, {"bucketId": ""}],
)
def test_an_event_that_no_trigger_asked_for_is_none(changes: dict[str, str]) -> None:
    assert events.finalized(notification(**changes), "b") is None


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("a b ", "objects/a%20b%20"),
        ("Größe/日", "objects/Gr%C3%B6%C3%9Fe/%E6%97%A5"),
        ("a\r\nAuthorization: Bearer x", "objects/a%0D%0AAuthorization:%20Bearer%20x"),
        ('"100%"', "objects/%22100%25%22"),
        ("a;b=c?d#e&f", "objects/a;b=c?d#e&f"),
    ],
)
def test_a_subject_holds_any_name_as_the_binding_encodes_it(name: str, subject: str) -> None:
    sent = events.finalized(notification(objectId=name), "b")
    assert sent
    assert sent.headers["ce-subject"] == subject


def test_no_attribute_breaks_out_of_its_header() -> None:
    sent = events.finalized(notification(eventTime="now\r\nX-Evil: 1"), "b")
    assert sent
    assert not any(control in value for value in sent.headers.values() for control in "\r\n\0")


def test_a_push_is_pubsubs() -> None:
    sent = events.push(message(b"\x00\xff", id="e1", type="t"), "projects/p/subscriptions/s", 3)
    assert sent.headers["content-type"] == "application/json"
    assert json.loads(sent.body) == {
        "message": {
            "attributes": {"id": "e1", "type": "t"},
            "data": base64.b64encode(b"\x00\xff").decode(),
            "messageId": "42",
            "message_id": "42",
            "publishTime": "2026-11-25T10:00:00.250Z",
            "publish_time": "2026-11-25T10:00:00.250Z",
        },
        "subscription": "projects/p/subscriptions/s",
        "deliveryAttempt": 3,
    }


def test_what_a_message_does_not_have_is_absent() -> None:
    body = json.loads(events.push(message(b""), "projects/p/subscriptions/s", 0).body)
    assert set(body) == {"message", "subscription"}
    assert {"data", "attributes", "orderingKey"} & set(body["message"]) == set()


def test_the_product_reads_both_forms() -> None:
    resource = {"bucket": "b", "name": "ö \n", "generation": "7", "size": "1"}
    sent = events.finalized(
        message(
            json.dumps(resource).encode(),
            eventType="OBJECT_FINALIZE",
            bucketId="b",
            objectId="ö \n",
        ),
        "b",
    )
    assert sent
    assert FinalizedObject.from_resource(json.loads(sent.body)).name == "ö \n"
    pushed = events.push(message(b"body", id="e1", type="t.v1"), "projects/p/subscriptions/s", 1)
    assert delivered(json.loads(pushed.body)["message"]).data == b"body"


def test_a_subscription_that_asks_for_some_events_is_sent_no_others() -> None:
    wanted = ("snaptask.media.v1.ready", "snaptask.media.v1.rejected")
    filtered = replace(DECLARATION.subscriptions[0], name="some", types=wanted)
    everything = replace(DECLARATION.subscriptions[0], name="all", types=())
    declaration = replace(DECLARATION, subscriptions=(filtered, everything))
    forms = {
        route.subscription.rpartition("/")[2]: route.form for route in routes(declaration, "p")
    }

    def reaches(name: str, **attributes: str) -> bool:
        received = types.ReceivedMessage.pb(types.ReceivedMessage())
        received.message.CopyFrom(message(**attributes))
        return forms[name](received) is not None

    for kind in wanted:
        assert reaches("some", type=kind)
    for attributes in ({"type": "snaptask.media.v1"}, {"type": ""}, {}, {"kind": wanted[0]}):
        assert not reaches("some", **attributes)
        assert reaches("all", **attributes)
    assert filtered.filter == (
        'attributes.type = "snaptask.media.v1.ready" OR '
        'attributes.type = "snaptask.media.v1.rejected"'
    )
    assert everything.filter == ""
