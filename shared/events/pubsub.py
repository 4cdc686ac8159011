"""Publishing to Pub/Sub: one unary call that is waited for, so nothing is lost at exit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import grpc

from shared.access_token import AccessTokens
from shared.errors import Unavailable
from shared.events.outbox import Refused
from shared.grpc_api import Tries, make_channel, messages, unary

_types = messages("google.pubsub_v1", "pubsub")
_Request = _types.PublishRequest.pb()
_Answer = _types.PublishResponse.pb()

_EMULATOR = "PUBSUB_EMULATOR_HOST"
_TARGET = "pubsub.googleapis.com:443"
# Seconds. A publish takes milliseconds; a topic out of reach must not hold a request for long,
# as the sweep repeats what was not published.
_TRY = 3.0
_BUDGET = 5.0


class PubSubPublisher:
    """`topic` is a full name, `projects/P/topics/T`; `tokens` are somebody's who is no function."""

    def __init__(self, topic: str, tokens: AccessTokens | None = None) -> None:
        self._topic = topic
        self._tokens = tokens
        self._lock = threading.Lock()
        self._channel: Any = None
        self._call: Callable[..., Any] | None = None

    def publish(self, messages: Sequence[tuple[bytes, dict[str, str]]]) -> None:
        request = _Request(topic=self._topic)
        for data, attributes in messages:
            request.messages.add(data=data, attributes=attributes)
        routing = [("x-goog-request-params", f"topic={quote(self._topic, safe='')}")]
        tries = Tries(_BUDGET, _TRY)
        try:
            for left in tries:
                try:
                    self._connected()(request, timeout=left, metadata=routing)
                    return
                except grpc.RpcError as error:
                    tries.note(error)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise Refused("The topic refuses these messages for good") from None
            raise Unavailable(f"The topic refuses messages ({error.code().name})") from None
        raise Unavailable("The topic does not answer")

    def close(self) -> None:
        with self._lock:
            if self._channel is not None:
                self._channel.close()
                self._channel = self._call = None

    def _connected(self) -> Callable[..., Any]:
        with self._lock:
            if self._call is None:
                self._channel = make_channel(_TARGET, _EMULATOR, self._tokens)
                self._call = unary(self._channel, "/google.pubsub.v1.Publisher/Publish", _Answer)
            return self._call
