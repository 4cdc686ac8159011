"""Delivers messages to functions: Eventarc's events and the push subscriptions.

A message is pulled, POSTed with the platform's token and acknowledged by the answer's status.
When and how often it comes again, and when it is a dead letter, is decided by Pub/Sub's own
policies on the subscription. While a function works, its message's deadline is extended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from emulators.platform import events
from emulators.platform.chaos import Chaos, Trouble
from emulators.platform.events import Outgoing
from emulators.platform.identity import Identity
from emulators.platform.log import say
from emulators.platform.pull import Pull
from emulators.platform.topics import eventarc_subscription
from infra.declaration import Declaration, Function

# "Receive push messages": these acknowledge, all others do not.
_ACKNOWLEDGES = frozenset((102, 200, 201, 202, 204))
# Seconds after which Pub/Sub takes a message back from a platform that died. Extended three times
# in that time, so that two late extensions do no harm.
LEASE = 30
# Seconds that a message held back waits for a later one, which need not come.
_HOLD = 0.5
# Seconds for the last words to Pub/Sub when the platform ends.
_FAREWELL = 1.0


@dataclass(frozen=True)
class Route:
    """From a subscription to a function."""

    subscription: str
    function: Function
    url: str
    form: Callable[[Any], Outgoing | None]
    """Makes the request from a ReceivedMessage; None when the function did not ask for it."""
    max_attempts: int | None = None
    """After so many the message is a dead letter."""


@dataclass
class Counts:
    """Since the platform's start. A quiet subscription has `unsettled` and `in_flight` 0."""

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
    in_flight: int = 0

    def shown(self) -> dict[str, int]:
        return {
            "received": self.received,
            "delivered": self.delivered,
            "failed": self.failed,
            "acked": self.acked,
            "nacked": self.nacked,
            "ignored": self.ignored,
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "delayed": self.delayed,
            "lostAcks": self.lost_acks,
            "failedBefore": self.failed_before,
            "inFlight": self.in_flight,
        }


def routes(declaration: Declaration, project: str, urls: dict[str, str]) -> list[Route]:
    """For every function that has a URL."""
    found = []
    for function in declaration.functions:
        if function.trigger and function.name in urls:
            name = f"projects/{project}/subscriptions/{eventarc_subscription(function.name)}"
            form = _eventarc_form(f"{project}-{function.trigger.bucket}")
            found.append(Route(name, function, urls[function.name], form))
    for declared in declaration.subscriptions:
        if declared.function in urls:
            name = f"projects/{project}/subscriptions/{declared.name}"
            function = declaration.function_by_name[declared.function]
            url = urls[declared.function]
            found.append(Route(name, function, url, _push_form(name), declared.max_attempts))
    return found


def _eventarc_form(bucket: str) -> Callable[[Any], Outgoing | None]:
    return lambda received: events.finalized(received.message, bucket)


def _push_form(subscription: str) -> Callable[[Any], Outgoing | None]:
    return lambda received: events.push(received.message, subscription, received.delivery_attempt)


class Deliveries:
    """All subscriptions together; `chaos` may be exchanged at any time."""

    def __init__(
        self,
        address: str,
        found: list[Route],
        identity: Identity,
        lease: int = LEASE,
    ) -> None:
        self.chaos = Chaos()
        self._address = address
        self._identity = identity
        self._lease = lease
        self._routes = found
        # Counted per function, whatever number of subscriptions it has.
        self._slots = {
            route.function.name: asyncio.Semaphore(route.function.concurrency) for route in found
        }
        self._courses: list[_Course] = []

    async def run(self) -> None:
        """Until cancelled; then what is under way is given back to Pub/Sub."""
        # One connection per request: a function's server closes an idle one without a word, and
        # a request sent into that moment would count as a failure.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
            self._courses = [self._course(route, session) for route in self._routes]
            tasks = [asyncio.create_task(course.run()) for course in self._courses]
            try:
                await asyncio.gather(*tasks)
                # Without a route there is nothing to do, but that is no end.
                await asyncio.Event().wait()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def shown(self) -> dict[str, dict[str, int]]:
        return {course.name: course.shown() for course in self._courses}

    def _course(self, route: Route, session: aiohttp.ClientSession) -> _Course:
        slots = self._slots[route.function.name]
        return _Course(
            route, self._address, self._lease, session, slots, self._identity, lambda: self.chaos
        )


@dataclass
class _Course:
    """One subscription's deliveries."""

    route: Route
    address: str
    lease: int
    session: aiohttp.ClientSession
    slots: asyncio.Semaphore
    identity: Identity
    chaos: Callable[[], Chaos]
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self.name = self.route.subscription.rpartition("/")[2]
        self._pull = Pull(
            self.address, self.route.subscription, self.lease, self._receive, self._forget
        )
        # Attempts so far at each message that is neither acknowledged nor a dead letter.
        self._attempts: dict[str, int] = {}
        self._leased: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passed = asyncio.Event()

    def shown(self) -> dict[str, int]:
        return {**self.counts.shown(), "unsettled": len(self._attempts)}

    async def run(self) -> None:
        pulling = asyncio.create_task(self._pull.run())
        extending = asyncio.create_task(self._extend())
        try:
            await asyncio.gather(pulling, extending)
        finally:
            await self._stop([pulling, extending])

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        under_way = list(self._tasks)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        try:
            await asyncio.wait_for(self._pull.flushed(), _FAREWELL)
        except TimeoutError:
            pass
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _extend(self) -> None:
        while True:
            await asyncio.sleep(self.lease / 3)
            self._pull.extend(self._leased)

    def _forget(self) -> None:
        self._attempts.clear()

    # One message

    def _receive(self, received: Any) -> None:
        self.counts.received += 1
        outgoing = self.route.form(received)
        if outgoing is None:
            self.counts.ignored += 1
            self._pull.ack(received.ack_id)
            return
        message = received.message.message_id
        attempt = self._attempts[message] = self._attempts.get(message, 0) + 1
        trouble = self.chaos().trouble(self.name, message, attempt)
        self._start(self._deliver(received, outgoing, trouble))
        if trouble.duplicate and not trouble.fail_before:
            self.counts.duplicates += 1
            self._start(self._deliver_copy(outgoing))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(self._counted(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _counted(self, work: Any) -> None:
        self.counts.in_flight += 1
        try:
            await work
        finally:
            self.counts.in_flight -= 1

    async def _deliver(self, received: Any, outgoing: Outgoing, trouble: Trouble) -> None:
        done = False
        self._leased.add(received.ack_id)
        try:
            await self._hold(trouble)
            if trouble.fail_before:
                self.counts.failed_before += 1
            else:
                done = await self._post(outgoing)
        finally:
            self._leased.discard(received.ack_id)
            if done and trouble.lost_ack:
                # Given back at once, where the real one would come again after its deadline.
                self.counts.lost_acks += 1
                done = False
            self._settle(received, done)

    def _settle(self, received: Any, done: bool) -> None:
        message = received.message.message_id
        if done:
            self.counts.acked += 1
            self._attempts.pop(message, None)
            self._pull.ack(received.ack_id)
            return
        self.counts.nacked += 1
        if self.route.max_attempts and received.delivery_attempt >= self.route.max_attempts:
            self._attempts.pop(message, None)
        self._pull.nack(received.ack_id)

    async def _deliver_copy(self, outgoing: Outgoing) -> None:
        await self._post(outgoing)

    async def _hold(self, trouble: Trouble) -> None:
        if trouble.delay:
            self.counts.delayed += 1
            await asyncio.sleep(trouble.delay)
        if trouble.reorder:
            self.counts.reordered += 1
            try:
                await asyncio.wait_for(self._passed.wait(), _HOLD)
            except TimeoutError:
                pass

    async def _post(self, outgoing: Outgoing) -> bool:
        """True when the function acknowledged."""
        async with self.slots:
            why = await self._answer(outgoing)
        # Whoever was held back for a later message may go now.
        self._passed.set()
        self._passed = asyncio.Event()
        if why is None:
            self.counts.delivered += 1
            return True
        self.counts.failed += 1
        say(f"{self.name}: {self.route.function.name} {why}, to be delivered again", "WARNING")
        return False

    async def _answer(self, outgoing: Outgoing) -> str | None:
        """None, or why the function did not acknowledge."""
        token = self.identity.id_token(self.identity.caller, self.route.url)
        headers = {**outgoing.headers, "Authorization": f"Bearer {token}"}
        timeout = aiohttp.ClientTimeout(total=self.route.function.timeout)
        try:
            async with self.session.post(
                self.route.url,
                data=outgoing.body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                await answer.read()
                return None if answer.status in _ACKNOWLEDGES else f"answered {answer.status}"
        except TimeoutError:
            return f"took longer than {self.route.function.timeout} s"
        except aiohttp.ClientError as error:
            return f"did not answer ({type(error).__name__})"
