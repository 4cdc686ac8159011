"""Delivers messages to functions: Eventarc's events and the push subscriptions.

A message is pulled, POSTed with the platform's token and acknowledged by the answer's status.
When and how often it comes again, and when it is a dead letter, is decided by Pub/Sub's own
policies on the subscription. While a function works, its message's deadline is extended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from emulators.platform import events
from emulators.platform.chaos import Chaos, Trouble, camel
from emulators.platform.events import Outgoing
from emulators.platform.log import say
from emulators.platform.pull import Pull
from emulators.platform.sender import NoAnswer, Sender
from emulators.platform.topics import eventarc_subscription
from infra.declaration import Declaration, bucket_name

# "Receive push messages": these acknowledge, all others do not.
_ACKNOWLEDGES = frozenset((102, 200, 201, 202, 204))
# Seconds after which Pub/Sub takes a message back from a platform that died. Extended three times
# in that time, so that two late extensions do no harm.
LEASE = 30
# Seconds that a message held back waits for a later one, which need not come.
_HOLD = 0.5


@dataclass(frozen=True)
class Route:
    """From a subscription, by its full name, to a function."""

    subscription: str
    function: str
    form: Callable[[Any], Outgoing | None]
    """Makes the request from a ReceivedMessage; None when the function did not ask for it."""
    max_attempts: int | None = None
    """After so many the message is a dead letter."""


def routes(declaration: Declaration, project: str) -> list[Route]:
    prefix = f"projects/{project}/subscriptions"
    eventarc = [
        Route(
            f"{prefix}/{eventarc_subscription(function.name)}",
            function.name,
            _eventarc_form(bucket_name(project, function.trigger.bucket)),
        )
        for function in declaration.functions
        if function.trigger
    ]
    pushes = [
        Route(
            f"{prefix}/{s.name}",
            s.function,
            _push_form(f"{prefix}/{s.name}", s.types),
            s.max_attempts if s.dead_letter_topic else None,
        )
        for s in declaration.subscriptions
    ]
    return eventarc + pushes


def _eventarc_form(bucket: str) -> Callable[[Any], Outgoing | None]:
    return lambda received: events.finalized(received.message, bucket)


def _push_form(subscription: str, types: tuple[str, ...]) -> Callable[[Any], Outgoing | None]:
    def form(received: Any) -> Outgoing | None:
        if types and received.message.attributes.get("type") not in types:
            return None
        return events.push(received.message, subscription, received.delivery_attempt)

    return form


@dataclass
class Counts:
    """Of one subscription since the platform's start. `failed` are answers that do not
    acknowledge and no answers; `ignored` are events that no trigger or filter
    asked for."""

    received: int = 0
    delivered: int = 0
    failed: int = 0
    acked: int = 0
    nacked: int = 0
    ignored: int = 0
    duplicates: int = 0
    reordered: int = 0
    delayed: int = 0
    lost_acks: int = 0
    failed_before: int = 0


class Deliveries:
    """All subscriptions whose function has a sender; `chaos` may be exchanged at any time."""

    def __init__(
        self, address: str, found: list[Route], senders: Mapping[str, Sender], lease: int = LEASE
    ) -> None:
        self.chaos = Chaos()
        self._courses = [
            _Course(route, address, lease, senders[route.function], lambda: self.chaos)
            for route in found
            if route.function in senders
        ]

    async def run(self) -> None:
        """Until cancelled; then what is under way is given back to Pub/Sub."""
        async with asyncio.TaskGroup() as group:
            for course in self._courses:
                group.create_task(course.run())

    def shown(self) -> dict[str, dict[str, int]]:
        return {course.name: course.shown() for course in self._courses}


class _Course:
    """One subscription's deliveries."""

    def __init__(
        self, route: Route, address: str, lease: int, sender: Sender, chaos: Callable[[], Chaos]
    ) -> None:
        self.name = route.subscription.rpartition("/")[2]
        self._route = route
        self._lease = lease
        self._sender = sender
        self._chaos = chaos
        self._pull = Pull(address, route.subscription, lease, self._receive, self._forget)
        self._counts = Counts()
        # Attempts so far at each message that is neither acknowledged nor a dead letter.
        self._attempts: dict[str, int] = {}
        self._leased: dict[str, Any] = {}
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        # Those held back until a message that came later than their number was sent.
        self._held: list[tuple[int, asyncio.Future[None]]] = []

    def shown(self) -> dict[str, int]:
        """Nothing is under way, and nothing comes again, when the last two are 0."""
        counts = {camel(name): number for name, number in asdict(self._counts).items()}
        return {**counts, "inFlight": len(self._tasks), "unsettled": len(self._attempts)}

    async def run(self) -> None:
        tasks = {asyncio.create_task(self._pull.run()), asyncio.create_task(self._extend())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._ending = True
            await _cancelled(self._tasks)
            await _cancelled(tasks)
            if self._leased:
                await self._pull.give_back(self._leased)

    async def _extend(self) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            self._pull.extend(self._leased)

    def _forget(self) -> None:
        """Pub/Sub lost its messages. What is under way goes on, but its end is nobody's business:
        the ids of before may name other messages now."""
        self._attempts.clear()
        self._leased.clear()

    # One message

    def _receive(self, received: Any) -> None:
        self._counts.received += 1
        outgoing = self._route.form(received)
        if outgoing is None:
            self._counts.ignored += 1
            self._pull.ack(received.ack_id)
            return
        message = received.message.message_id
        attempt = self._attempts[message] = self._attempts.get(message, 0) + 1
        trouble = self._chaos().trouble(self.name, message, attempt)
        self._leased[received.ack_id] = received
        if self._ending:
            return
        self._start(self._deliver(received, outgoing, trouble, self._counts.received))
        if trouble.duplicate and not trouble.fail_before:
            self._counts.duplicates += 1
            self._start(self._deliver_copy(outgoing))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(
        self, received: Any, outgoing: Outgoing, trouble: Trouble, number: int
    ) -> None:
        await self._hold(trouble, number)
        if trouble.fail_before:
            self._counts.failed_before += 1
            done = False
        else:
            done = await self._post(outgoing)
            self._release(number)
        if done and trouble.lost_ack:
            # Given back at once, where the real one would come again after its deadline.
            self._counts.lost_acks += 1
            done = False
        self._settle(received, done)

    async def _deliver_copy(self, outgoing: Outgoing) -> None:
        await self._post(outgoing)

    async def _hold(self, trouble: Trouble, number: int) -> None:
        if trouble.delay:
            self._counts.delayed += 1
            await asyncio.sleep(trouble.delay)
        if trouble.reorder:
            self._counts.reordered += 1
            later = asyncio.get_running_loop().create_future()
            self._held.append((number, later))
            with suppress(TimeoutError):
                await asyncio.wait_for(later, _HOLD)
            self._held.remove((number, later))

    def _release(self, number: int) -> None:
        for held, later in self._held:
            if held < number and not later.done():
                later.set_result(None)

    async def _post(self, outgoing: Outgoing) -> bool:
        """True when the function acknowledged."""
        try:
            status = await self._sender.post("", outgoing.headers, outgoing.body)
            if status in _ACKNOWLEDGES:
                self._counts.delivered += 1
                return True
            why = f"answered {status}"
        except NoAnswer as error:
            why = str(error)
        except Exception as error:  # noqa: BLE001 - a message that breaks us must not be lost.
            why = f"cannot be sent it ({type(error).__name__})"
        self._counts.failed += 1
        say(f"{self.name}: {self._route.function} {why}; not acknowledged", "WARNING")
        return False

    def _settle(self, received: Any, done: bool) -> None:
        ack_id = received.ack_id
        known = self._leased.get(ack_id) is received
        if not known:
            return
        del self._leased[ack_id]
        message = received.message.message_id
        if done:
            self._counts.acked += 1
            self._attempts.pop(message, None)
            self._pull.ack(ack_id)
            return
        self._counts.nacked += 1
        if self._route.max_attempts and received.delivery_attempt >= self._route.max_attempts:
            self._attempts.pop(message, None)
        self._pull.nack(ack_id)


async def _cancelled(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    await asyncio.gather(*ending, return_exceptions=True)
