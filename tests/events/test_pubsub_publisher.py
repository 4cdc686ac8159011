"""Publishing against Google's emulator, and against nothing at all."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import grpc
import pytest
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from shared.errors import Unavailable
from shared.events import pubsub as module
from shared.events.outbox import Refused
from shared.events.pubsub import PubSubPublisher
from tests.fixtures import emulated

# Generous beside the budget: two busy cores, and one try more may be under way when it ends.
_BOUND = 2 * (module._BUDGET + module._TRY)
TOPIC = "projects/p/topics/topic"
SUBSCRIPTION = "projects/p/subscriptions/subscription"


class Reader:
    def __init__(self, address: str, topic: str, subscription: str) -> None:
        self.channel = grpc.insecure_channel(address)
        PublisherClient(transport=PublisherGrpcTransport(channel=self.channel)).create_topic(
            name=topic, timeout=10
        )
        self.client = SubscriberClient(transport=SubscriberGrpcTransport(channel=self.channel))
        self.client.create_subscription(name=subscription, topic=topic, timeout=10)
        self.subscription = subscription

    def take(self, count: int) -> list[tuple[bytes, dict[str, str]]]:
        seen: list[tuple[bytes, dict[str, str]]] = []
        deadline = time.monotonic() + 20
        while len(seen) < count and time.monotonic() < deadline:
            answer = self.client.pull(
                subscription=self.subscription, max_messages=count, timeout=20
            )
            for one in answer.received_messages:
                seen.append((one.message.data, dict(one.message.attributes)))
                self.client.acknowledge(
                    subscription=self.subscription, ack_ids=[one.ack_id], timeout=10
                )
        return seen


@pytest.fixture
def reader(pubsub: str) -> Iterator[Reader]:
    unique = str(time.monotonic_ns())
    reader = Reader(pubsub, f"{TOPIC}{unique}", f"{SUBSCRIPTION}{unique}")
    reader.topic = f"{TOPIC}{unique}"  # type: ignore[attr-defined]
    yield reader
    reader.channel.close()


@pytest.mark.emulated
def test_what_was_published_arrives_with_its_attributes(reader: Reader) -> None:
    publisher = PubSubPublisher(reader.topic)  # type: ignore[attr-defined]
    messages = [(f"{n} ü".encode(), {"id": f"e{n}", "type": "t"}) for n in range(200)]
    publisher.publish(messages)
    seen = reader.take(200)
    assert sorted(seen, key=repr) == sorted(messages, key=repr)


@pytest.mark.emulated
def test_a_message_that_no_topic_takes_is_refused_for_good(reader: Reader) -> None:
    publisher = PubSubPublisher(reader.topic)  # type: ignore[attr-defined]
    with pytest.raises(Refused):
        publisher.publish([(b"x", {"id": "e1"}), (b"", {})])


@pytest.mark.emulated
def test_a_missing_topic_is_unavailable(pubsub: str) -> None:
    with pytest.raises(Unavailable) as missing:
        PubSubPublisher("projects/p/topics/never-made").publish([(b"x", {})])
    assert not isinstance(missing.value, Refused), "its messages are as good as ever"


@pytest.mark.emulated
def test_a_topic_that_comes_back_is_published_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    port = emulated.free_port()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{port}")
    publisher = PubSubPublisher(TOPIC)
    with pytest.raises(Unavailable):
        publisher.publish([(b"before", {})])
    with emulated.pubsub(port):
        reader = Reader(f"127.0.0.1:{port}", TOPIC, SUBSCRIPTION)
        publisher.publish([(b"after", {"id": "1"})])
        assert reader.take(1) == [(b"after", {"id": "1"})]
        reader.channel.close()


@pytest.mark.emulated
@pytest.mark.parametrize("listening", [True, False], ids=["silent", "refused"])
def test_nothing_there_is_unavailable_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, listening: bool
) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", f"127.0.0.1:{server.getsockname()[1]}")
        started = time.monotonic()
        with pytest.raises(Unavailable):
            PubSubPublisher(TOPIC).publish([(b"x", {})])
        assert time.monotonic() - started < _BOUND
