"""A streaming pull that is kept open: through outages, restarts and a missing subscription.

On bare protobuf messages, as the official subscriber brings threads and a lease scheme of its own.
Acknowledgements wait here while there is no stream, for Pub/Sub takes them on any later one.
The emulator (0.8.20) goes on sending to a stream whose client was killed: after a kill -9 with
Pub/Sub left running, part of the messages come late, each after one or more leases.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

_METHOD = "/google.pubsub.v1.Subscriber/StreamingPull"
_MODIFY = "/google.pubsub.v1.Subscriber/ModifyAckDeadline"
_MODIFICATION = types.ModifyAckDeadlineRequest.pb()
_REQUEST = types.StreamingPullRequest.pb()
_RESPONSE = types.StreamingPullResponse.pb()
# Seconds between looks for a Pub/Sub that went away: soon at first, then so that it is no load.
_PAUSES = (0.1, 0.2, 0.5, 1.0)
# Seconds for the last word to Pub/Sub, which may have ended already.
_FAREWELL = 1.0
# Messages that may be unsettled at once. More than any test sends, less than memory minds.
_OUTSTANDING = 1000
_OPTIONS = (
    # A message may have 10 MB and a response carries several.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A channel of its own for each stream: an old one stays in its back-off after an outage.
    ("grpc.use_local_subchannel_pool", 1),
)


class Pull:
    """`on_message` gets each ReceivedMessage; `on_forgotten` is called when Pub/Sub itself is
    gone, which in the emulator's case takes all messages along. `lease` is in seconds, 10-600:
    how long Pub/Sub waits after the last word about a message."""

    def __init__(
        self,
        address: str,
        subscription: str,
        lease: int,
        on_message: Callable[[Any], None],
        on_forgotten: Callable[[], None],
    ) -> None:
        self._address = address
        self._subscription = subscription
        self._lease = lease
        self._on_message = on_message
        self._on_forgotten = on_forgotten
        self._acks: list[str] = []
        self._deadlines: dict[str, int] = {}
        self._news = asyncio.Event()
        self._failures = 0
        self._ending = False
        self._call: Any = None

    def ack(self, ack_id: str) -> None:
        self._deadlines.pop(ack_id, None)
        self._acks.append(ack_id)
        self._news.set()

    def nack(self, ack_id: str) -> None:
        self._deadlines[ack_id] = 0
        self._news.set()

    def extend(self, ack_ids: Iterable[str]) -> None:
        for ack_id in ack_ids:
            self._deadlines.setdefault(ack_id, self._lease)
        if self._deadlines:
            self._news.set()

    async def give_back(self, ack_ids: Iterable[str]) -> None:
        """The last word about these: they come again at once, not after the lease. In a call of
        its own, because what was written to a stream is lost when the stream is dropped."""
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            modify: Any = channel.unary_unary(
                _MODIFY,
                request_serializer=_MODIFICATION.SerializeToString,
                response_deserializer=empty_pb2.Empty.FromString,
            )
            request = _MODIFICATION(
                subscription=self._subscription, ack_ids=ack_ids, ack_deadline_seconds=0
            )
            # Unheard, they come after the lease.
            with suppress(grpc.aio.AioRpcError):
                await modify(request, timeout=_FAREWELL)

    async def run(self) -> None:
        """Until cancelled. Then the stream is ended in good order, as the emulator goes on
        sending to one that was merely dropped; what comes meanwhile is still handed on."""
        pulling = asyncio.create_task(self._repeat())
        try:
            # Waited for but not awaited, as that would end it together with its waiter.
            await asyncio.wait({pulling})
            pulling.result()
        finally:
            self._ending = True
            if self._call is not None:
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    await self._call.done_writing()
                await asyncio.wait({pulling}, timeout=_FAREWELL)
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)

    async def _repeat(self) -> None:
        while not self._ending:
            try:
                await self._stream()
            except grpc.aio.AioRpcError as error:
                self._failed(error)
            if not self._ending:
                await asyncio.sleep(_PAUSES[min(self._failures, len(_PAUSES) - 1)])

    def _failed(self, error: grpc.aio.AioRpcError) -> None:
        """A stream that was cut is no news; one that cannot be opened is."""
        refused = error.code() == grpc.StatusCode.UNAVAILABLE and self._failures > 0
        self._failures += 1
        if refused or error.code() == grpc.StatusCode.NOT_FOUND:
            self._acks.clear()
            self._deadlines.clear()
            self._on_forgotten()

    async def _stream(self) -> None:
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            open_stream: Any = channel.stream_stream(
                _METHOD,
                request_serializer=_REQUEST.SerializeToString,
                response_deserializer=_RESPONSE.FromString,
            )
            call = open_stream()
            await call.write(
                _REQUEST(
                    subscription=self._subscription,
                    stream_ack_deadline_seconds=self._lease,
                    max_outstanding_messages=_OUTSTANDING,
                )
            )
            writer = asyncio.create_task(self._write(call))
            self._call = call
            try:
                while response := await call.read():
                    self._failures = 0
                    for received in response.received_messages:
                        self._on_message(received)
            finally:
                self._call = None
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, call: Any) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            acks, self._acks = self._acks, []
            deadlines, self._deadlines = self._deadlines, {}
            await call.write(
                _REQUEST(
                    ack_ids=acks,
                    modify_deadline_ack_ids=list(deadlines),
                    modify_deadline_seconds=list(deadlines.values()),
                )
            )
