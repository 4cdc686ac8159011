"""Google's gRPC APIs spoken with bare messages: types, channel, and tries bounded in time.

The generated clients would double the CPU of a small call and, imported, of a cold start (`make
bench` prints both); what they know besides is here: routing headers are the caller's business,
credentials, emulators and retries are this module's.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from shared.access_token import AccessTokens, MetadataTokens
from shared.deadline import left
from shared.errors import Unavailable

# gRPC waits up to two minutes before it dials again by default; an outage should end when it ends.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", -1),
    # The calling thread drives a streamed answer itself. By default another thread does, and with
    # grpcio 1.85 such a call to a server that has just gone now and then never ends, whatever its
    # deadline: its status arrives, the message it waits for is never called off. Seen in 7 of 12
    # runs of 100 s against a server stopped and started all the time; in none of 7 like this.
    ("SingleThreadedUnaryStream", 1),
    # A channel dials for itself, so that a new one is not held back by an old one's pause.
    ("grpc.use_local_subchannel_pool", 1),
)
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
# Nobody answered; all other codes are somebody's answer.
_SILENCE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }
)
# Seconds before the second try; each further one waits twice as long.
_PAUSE = 0.05


def messages(package: str, name: str) -> Any:
    """The module `package.types.name` of a generated library, without its client.

    The packages above it are looked up but not run. A library that is loaded already is used as
    it is, and one that is loaded later finds these very messages.
    """
    hollow = [path for path in (package, f"{package}.types") if path not in sys.modules]
    try:
        for path in hollow:
            spec = importlib.util.find_spec(path)
            if spec is None:
                raise ModuleNotFoundError(path)
            sys.modules[path] = importlib.util.module_from_spec(spec)
        return importlib.import_module(f"{package}.types.{name}")
    finally:
        for path in hollow:
            sys.modules.pop(path, None)


def make_channel(target: str, emulator: str, tokens: AccessTokens | None = None) -> Any:
    """A channel to `target`, authorized as the function's account or by `tokens`; or, when the
    environment variable `emulator` names one, a plain channel there. Calls nobody yet."""
    address = os.environ.get(emulator)
    if address:
        return grpc.insecure_channel(address, options=_OPTIONS)
    authorized = grpc.metadata_call_credentials(_Authorization(tokens or MetadataTokens()))
    credentials = grpc.composite_channel_credentials(grpc.ssl_channel_credentials(), authorized)
    return grpc.secure_channel(target, credentials, options=_OPTIONS)


def unary(channel: Any, method: str, answer: Any) -> Callable[..., Any]:
    """Call it with (request, timeout=, metadata=)."""
    return _typed(channel.unary_unary, method, answer)


def streamed(channel: Any, method: str, answer: Any) -> Callable[..., Any]:
    """As `unary`, giving an iterator of answers."""
    return _typed(channel.unary_stream, method, answer)


def _typed(kind: Any, method: str, answer: Any) -> Callable[..., Any]:
    call: Callable[..., Any] = kind(
        method,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    return call


def is_transient(error: grpc.RpcError) -> bool:
    """Whether another try may end otherwise."""
    return error.code() in _TRANSIENT


class Tries:
    """Hands out the seconds that each try may take until the budget (seconds), or what is left
    of the request's, is spent.

    `ambiguous` once a try failed in a way that leaves open whether it was carried out; `silent`
    when the whole budget was given and nobody ever answered.
    """

    def __init__(self, budget: float, single: float) -> None:
        given = left(budget)
        self._end = time.monotonic() + given
        self._single = single
        self.ambiguous = False
        self.silent = given == budget

    def __iter__(self) -> Iterator[float]:
        pause = _PAUSE
        while (remains := self._end - time.monotonic()) > 0:
            yield min(remains, self._single)
            rest = max(0.0, self._end - time.monotonic())
            time.sleep(min(pause * random.uniform(0.5, 1.5), rest))  # noqa: S311
            pause *= 2

    def note(self, error: grpc.RpcError) -> None:
        """Remember a failure after which another try makes sense; raise any other."""
        if not is_transient(error):
            raise error
        self.ambiguous = True
        self.silent = self.silent and error.code() in _SILENCE


class _Authorization(grpc.AuthMetadataPlugin):
    def __init__(self, tokens: AccessTokens) -> None:
        self._tokens = tokens

    def __call__(self, context: Any, callback: Callable[..., None]) -> None:
        """A failure reaches the caller as UNAVAILABLE, which is tried again."""
        try:
            callback((("authorization", f"Bearer {self._tokens.token()}"),), None)
        except Unavailable as error:
            callback((), error)
