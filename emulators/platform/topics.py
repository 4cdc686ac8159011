"""Makes the declared topics and subscriptions in a Pub/Sub emulator, which forgets all at its end.

Beside what the declaration lists: for each finalize trigger the topic and subscription that
Eventarc makes in the cloud, and for each dead-letter topic a subscription that keeps what comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import grpc
from google.api_core.exceptions import AlreadyExists
from google.protobuf import field_mask_pb2
from google.pubsub_v1 import PublisherClient, SubscriberClient, types
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from infra.declaration import DECLARATION, Declaration, Subscription

# Seconds between deliveries of the same message, locally: at a desk nobody waits 10-600 s.
LOCAL_BACKOFF = (0.2, 10.0)
# Seconds. Eventarc's own subscriptions; "Retry events" in Google's Eventarc documentation.
_EVENTARC_BACKOFF = (10, 600)
_EVENTARC_ACK_DEADLINE = 600
_EVENTARC_RETENTION = timedelta(days=1)
# The longest that the emulator keeps what nobody has acknowledged; the real one now takes 31.
_KEPT = timedelta(days=7)
# Seconds for one call; the first may find the emulator still starting.
_PATIENCE = 20.0


def eventarc_topic(bucket: str) -> str:
    """The short name of the topic that the bucket's notifications go to."""
    return f"eventarc-{bucket}"


def eventarc_subscription(function: str) -> str:
    return f"eventarc-{function}"


def kept_subscription(topic: str) -> str:
    """Holds a dead-letter topic's messages until somebody looks at them."""
    return f"{topic}-kept"


def provision(
    address: str,
    project: str,
    declaration: Declaration = DECLARATION,
    backoff: tuple[float, float] | None = LOCAL_BACKOFF,
) -> None:
    """What is there already is set right. `backoff` (least and most seconds) stands in for the
    declared ones; None leaves those."""
    channel = grpc.insecure_channel(address)
    try:
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        subscriber = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        for name in _topics(declaration):
            _make_topic(publisher, f"projects/{project}/topics/{name}")
        for subscription in _subscriptions(declaration, project, backoff):
            _make_subscription(subscriber, subscription)
    finally:
        channel.close()


def _topics(declaration: Declaration) -> list[str]:
    names = {topic.name for topic in declaration.topics}
    names |= {s.topic for s in declaration.subscriptions}
    names |= _dead_letter_topics(declaration)
    names |= {eventarc_topic(f.trigger.bucket) for f in declaration.functions if f.trigger}
    return sorted(names)


def _dead_letter_topics(declaration: Declaration) -> set[str]:
    return {s.dead_letter_topic for s in declaration.subscriptions if s.dead_letter_topic}


def _subscriptions(
    declaration: Declaration, project: str, backoff: tuple[float, float] | None
) -> Iterator[types.Subscription]:
    for function in declaration.functions:
        if function.trigger:
            yield types.Subscription(
                name=f"projects/{project}/subscriptions/{eventarc_subscription(function.name)}",
                topic=f"projects/{project}/topics/{eventarc_topic(function.trigger.bucket)}",
                ack_deadline_seconds=_EVENTARC_ACK_DEADLINE,
                message_retention_duration=_EVENTARC_RETENTION,
                retry_policy=_retry(backoff or _EVENTARC_BACKOFF),
            )
    for declared in declaration.subscriptions:
        yield _push(declared, project, backoff)
    for topic in sorted(_dead_letter_topics(declaration)):
        yield types.Subscription(
            name=f"projects/{project}/subscriptions/{kept_subscription(topic)}",
            topic=f"projects/{project}/topics/{topic}",
            ack_deadline_seconds=600,
            message_retention_duration=_KEPT,
        )


def _push(
    declared: Subscription, project: str, backoff: tuple[float, float] | None
) -> types.Subscription:
    """Pulled by the deliveries, though the function sees a push: the emulator's own push is
    slower, takes two at a time and carries no token."""
    subscription = types.Subscription(
        name=f"projects/{project}/subscriptions/{declared.name}",
        topic=f"projects/{project}/topics/{declared.topic}",
        ack_deadline_seconds=declared.ack_deadline,
        retry_policy=_retry(backoff or (declared.min_backoff, declared.max_backoff)),
    )
    if declared.dead_letter_topic:
        subscription.dead_letter_policy = types.DeadLetterPolicy(
            dead_letter_topic=f"projects/{project}/topics/{declared.dead_letter_topic}",
            max_delivery_attempts=declared.max_attempts,
        )
    return subscription


def _retry(backoff: tuple[float, float]) -> types.RetryPolicy:
    least, most = backoff
    return types.RetryPolicy(
        minimum_backoff=timedelta(seconds=least), maximum_backoff=timedelta(seconds=most)
    )


def _make_topic(publisher: PublisherClient, name: str) -> None:
    try:
        publisher.create_topic(name=name, timeout=_PATIENCE)
    except AlreadyExists:
        pass


def _make_subscription(subscriber: SubscriberClient, subscription: types.Subscription) -> None:
    try:
        subscriber.create_subscription(request=subscription, timeout=_PATIENCE)
    except AlreadyExists:
        paths = ["ack_deadline_seconds"]
        paths += ["retry_policy"] if subscription.retry_policy else []
        paths += ["dead_letter_policy"] if subscription.dead_letter_policy else []
        subscriber.update_subscription(
            subscription=subscription,
            update_mask=field_mask_pb2.FieldMask(paths=paths),
            timeout=_PATIENCE,
        )
