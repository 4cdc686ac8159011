"""Dead letters through the whole local cloud, by the commands that people use."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from shared.ids import new_id
from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def publish(stack: Stack, topic: str, data: bytes, **attributes: str) -> None:
    with grpc.insecure_channel(stack.plan.address("pubsub")) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        message = PubsubMessage(data=data, attributes=attributes)
        publisher.publish(topic=stack.plan.topic(topic), messages=[message], timeout=10)


def command(stack: Stack, *arguments: str) -> str:
    """The output of the command for dead letters, which must succeed."""
    done = stack.tool("deadletters", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def letter_of(stack: Stack, event: str) -> dict[str, Any] | None:
    for line in command(stack, "list").splitlines()[:-1]:
        letter: dict[str, Any] = json.loads(command(stack, "show", line.split()[0]))
        if letter["eventId"] == event:
            return letter
    return None


def test_an_event_that_nobody_understands_is_kept_with_its_error_and_can_be_dropped(
    stack: Stack,
) -> None:
    event = new_id()
    publish(stack, "snaptask-events", b"not json", id=event, type="snaptask.test.v1.poison")
    eventually(
        lambda: [one for one in stack.documents("deadLetters") if one.get("eventId") == event],
        bool,
        within=100,
    )
    letter = letter_of(stack, event)
    assert letter is not None
    assert (letter["source"], letter["data"], letter["deaths"]) == ("activity", "not json", 1)
    assert letter["attempts"] == 10
    assert "MalformedRequest" in letter["lastError"]
    assert command(stack, "drop", letter["id"]) == "1 dropped\n"
    assert letter_of(stack, event) is None


def test_a_letter_that_is_replayed_reaches_its_consumer_once(stack: Stack) -> None:
    event, owner = new_id(), new_id()
    body = {"id": event, "occurredAt": "2026-11-25T12:00:00Z", "owner": owner}
    publish(
        stack,
        "snaptask-dead-letters",
        json.dumps(body).encode(),
        id=event,
        type="snaptask.test.v1.late",
        CloudPubSubDeadLetterSourceSubscription="activity",
    )
    letter = eventually(lambda: letter_of(stack, event), bool)
    assert letter is not None
    for expected in ("1 replayed\n", "0 replayed\n"):
        assert command(stack, "replay", letter["id"]) == expected

    def audited() -> list[str]:
        return [one["type"] for one in stack.documents("audit") if one["owner"] == owner]

    assert eventually(audited, bool) == ["snaptask.test.v1.late"]
