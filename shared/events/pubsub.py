"""Publishing to Pub/Sub: one unary call that is waited for, so nothing is lost at exit."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import grpc
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.api_core.retry import Retry, if_transient_error
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from shared.errors import Unavailable

# Seconds. A publish takes milliseconds; a topic out of reach must not hold a request for long,
# as the sweep repeats what was not published.
_TRY = 3.0
_BUDGET = 5.0


class PubSubPublisher:
    """`topic` is a full name, `projects/P/topics/T`."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._lock = threading.Lock()
        self._client: PublisherClient | None = None

    def publish(self, messages: Sequence[tuple[bytes, dict[str, str]]]) -> None:
        try:
            self._connected().publish(
                topic=self._topic,
                messages=[PubsubMessage(data=data, attributes=extra) for data, extra in messages],
                timeout=_TRY,
                retry=Retry(predicate=if_transient_error, initial=0.1, timeout=_BUDGET),
            )
        except (GoogleAPICallError, RetryError, GoogleAuthError):
            raise Unavailable("The topic does not answer") from None

    def _connected(self) -> PublisherClient:
        with self._lock:
            if self._client is None:
                emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
                self._client = (
                    PublisherClient(
                        transport=PublisherGrpcTransport(channel=grpc.insecure_channel(emulator))
                    )
                    if emulator
                    else PublisherClient()
                )
            return self._client
