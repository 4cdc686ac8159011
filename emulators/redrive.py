"""Tells again of every object that waits in a bucket with a trigger.

Google's Pub/Sub emulator forgets undelivered messages at its end. Without this, an upload whose
event was on its way when the local cloud was stopped would wait for ever; telling of one twice
is harmless, as it is in the cloud.
"""

from __future__ import annotations

import json

import grpc
from google.cloud.storage import Blob, Client
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from emulators.plan import Plan
from emulators.platform import topics
from infra.declaration import DECLARATION

# Seconds for one object; the emulator answers in a few milliseconds.
_PATIENCE = 5.0


def redrive(plan: Plan, storage: Client) -> int:
    """Needs the topics to be there; returns how many objects were told of."""
    buckets = {function.trigger.bucket for function in DECLARATION.functions if function.trigger}
    told = 0
    with grpc.insecure_channel(plan.address("pubsub")) as channel:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        for bucket in buckets:
            topic = plan.topic(topics.eventarc_topic(bucket))
            for blob in storage.list_blobs(plan.bucket(bucket)):
                publisher.publish(topic=topic, messages=[_message(blob)], timeout=_PATIENCE)
                told += 1
    return told


def _message(blob: Blob) -> PubsubMessage:
    """A storage notification as the bucket published it ("Pub/Sub notifications for Cloud
    Storage"); the object's resource is what the listing gave."""
    attributes = {
        "eventType": "OBJECT_FINALIZE",
        "payloadFormat": "JSON_API_V1",
        "bucketId": blob.bucket.name,
        "objectId": blob.name,
        "objectGeneration": str(blob.generation),
        "eventTime": blob.time_created.isoformat(),
    }
    data = json.dumps(blob._properties).encode()
    return PubsubMessage(data=data, attributes=attributes)
