"""Object changes told to a real Pub/Sub emulator, as "Pub/Sub notifications for Cloud Storage"."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.api_core.exceptions import DeadlineExceeded
from google.cloud import storage
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from google.pubsub_v1.types import PubsubMessage

from tests.emulators.storage.service import Service, running
from tests.fixtures import emulated, http
from tests.fixtures.stack import eventually

pytestmark = pytest.mark.emulated


class Topic:
    """A topic with a subscription of its own; `seen` keeps what came, acknowledged."""

    def __init__(self, address: str, name: str | None = None) -> None:
        self.channel = grpc.insecure_channel(address)
        self._subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=self.channel))
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self.channel))
        self.name = name or f"t-{secrets.token_hex(4)}"
        path = f"projects/test/topics/{self.name}"
        self._subscription = f"projects/test/subscriptions/{self.name}"
        publisher.create_topic(name=path)
        self._subscriber.create_subscription(name=self._subscription, topic=path)
        self.seen: list[PubsubMessage] = []

    def pull(self) -> list[PubsubMessage]:
        try:
            answer = self._subscriber.pull(
                subscription=self._subscription, max_messages=100, timeout=2, retry=None
            )
        except DeadlineExceeded:
            return self.seen
        found = answer.received_messages
        if found:
            self._subscriber.acknowledge(
                subscription=self._subscription, ack_ids=[one.ack_id for one in found]
            )
        self.seen += [one.message for one in found]
        return self.seen

    def await_count(self, count: int) -> list[PubsubMessage]:
        return eventually(self.pull, lambda seen: len(seen) >= count)


@pytest.fixture
def topic(pubsub: str) -> Iterator[Topic]:
    made = Topic(pubsub)
    yield made
    made.channel.close()


@pytest.fixture
def service(pubsub: str, tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, "--pubsub", pubsub) as started:
        yield started


def notify(bucket: storage.Bucket, topic: Topic, **options: object) -> None:
    bucket.notification(
        topic_name=topic.name,
        topic_project="test",
        payload_format="JSON_API_V1",
        **options,
    ).create()


def put(bucket: storage.Bucket, name: str, content: bytes = b"x") -> storage.Blob:
    blob = bucket.blob(name)
    blob.metadata = {"traceparent": "00-1"}
    blob.upload_from_string(content, content_type="image/jpeg")
    return blob


def test_a_finalize_carries_the_objects_resource(service: Service, topic: Topic) -> None:
    bucket = service.bucket("told")
    notify(bucket, topic, event_types=["OBJECT_FINALIZE"])
    blob = put(bucket, "uploads/ü 1", b"twelve bytes")
    (message,) = topic.await_count(1)
    attributes = dict(message.attributes)
    assert attributes["eventType"] == "OBJECT_FINALIZE"
    assert attributes["bucketId"] == "told"
    assert attributes["objectId"] == "uploads/ü 1"
    assert attributes["objectGeneration"] == str(blob.generation)
    resource = json.loads(message.data)
    assert resource["kind"] == "storage#object"
    assert (resource["name"], resource["size"]) == ("uploads/ü 1", "12")
    assert resource["generation"] == str(blob.generation)
    assert resource["contentType"] == "image/jpeg"
    assert resource["metadata"] == {"traceparent": "00-1"}


def test_every_kind_of_change_is_told_in_its_order(service: Service, topic: Topic) -> None:
    bucket = service.bucket("told")
    notify(bucket, topic)
    blob = put(bucket, "a")
    blob.metadata = {"b": "1"}
    blob.patch()
    put(bucket, "a")
    bucket.delete_blob("a")
    seen = [dict(one.attributes)["eventType"] for one in topic.await_count(5)]
    assert sorted(seen) == sorted(
        ["OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_FINALIZE"] + ["OBJECT_DELETE"] * 2
    )


def test_a_prefix_and_kinds_are_filters(service: Service, topic: Topic) -> None:
    bucket = service.bucket("told")
    notify(bucket, topic, event_types=["OBJECT_FINALIZE"], blob_name_prefix="in/")
    for name in ("out/1", "in/1", "in", "in/2"):
        put(bucket, name)
    bucket.delete_blob("in/1")
    seen = topic.await_count(2)
    assert sorted(dict(one.attributes)["objectId"] for one in seen) == ["in/1", "in/2"]


def test_a_fault_tells_more_often(service: Service, topic: Topic) -> None:
    bucket = service.bucket("told")
    notify(bucket, topic, event_types=["OBJECT_FINALIZE"])
    fault = {"kind": "notification", "bucket": "told", "copies": 3, "delay": 0.05}
    assert http.post(f"{service.url}/_emulator/faults", json=fault).status_code == 201
    put(bucket, "a")
    put(bucket, "b")
    seen = [dict(one.attributes)["objectId"] for one in topic.await_count(4)]
    assert sorted(seen) == ["a", "a", "a", "b"]


def test_nothing_is_lost_by_an_outage_of_the_topic_or_a_kill_of_the_bucket(tmp_path: Path) -> None:
    port = emulated.free_port()
    arguments = ("--pubsub", f"127.0.0.1:{port}")
    with running(tmp_path, *arguments) as service:
        bucket = service.bucket("told")
        bucket.notification(topic_name="later", topic_project="test").create()
        for number in range(5):
            put(bucket, f"n{number}")
        service.kill()
    with emulated.pubsub(port) as address:
        # Before the bucket is back: a topic keeps nothing for a subscription that comes later.
        topic = Topic(address, "later")
        with running(tmp_path, *arguments) as service:
            put(service.client.bucket("told"), "n5")
            seen = [dict(one.attributes)["objectId"] for one in topic.await_count(6)]
        topic.channel.close()
    assert sorted(set(seen)) == [f"n{number}" for number in range(6)]
