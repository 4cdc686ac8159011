"""Deliveries over Google's Pub/Sub emulator, in good and in bad times."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulators.platform import topics
from emulators.platform.chaos import parse
from emulators.platform.deliveries import LEASE
from emulators.platform.identity import account
from emulators.platform.pull import Pull
from emulators.platform.service import Options, serving
from infra.declaration import DECLARATION
from shared.events.sender import PlatformSender
from tests.emulators.platform.service import (
    PATIENCE,
    PUSHED,
    TRIGGERED,
    Function,
    Platform,
    Project,
    running,
    until,
)
from tests.fixtures import emulated

pytestmark = pytest.mark.emulated
EVENTARC = topics.eventarc_subscription(TRIGGERED.name)


def bodies(function: Function) -> list[bytes]:
    """What the pushed messages held, in order of arrival."""
    messages = [json.loads(call.body)["message"] for call in function.calls]
    return [base64.b64decode(message.get("data", "")) for message in messages]


def contents(count: int) -> list[bytes]:
    return [b"message %d" % number for number in range(count)]


def by_url(url: str) -> Mapping[str, str]:
    return {PUSHED.function: url}


def test_every_message_arrives_once_with_a_token_that_functions_accept(
    tmp_path: Path, project: Project, function: Function
) -> None:
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        for content in contents(50):
            project.send(content, id="e", type="t")
        platform.settled(50)
        assert sorted(bodies(function)) == sorted(contents(50))
        caller = account("platform", project.name)
        sender = PlatformSender(f"{platform.url}/oauth2/v3/certs", url, caller)
        for call in function.calls:
            sender.check(call.headers["Authorization"].removeprefix("Bearer "))
        body = json.loads(function.calls[0].body)
        assert body["subscription"] == f"projects/{project.name}/subscriptions/{PUSHED.name}"
        assert body["deliveryAttempt"] == 1
        assert platform.counts()["failed"] == 0


def test_a_function_gets_as_many_at_once_as_declared_and_no_more(
    tmp_path: Path, project: Project, function: Function
) -> None:
    most = DECLARATION.function_by_name[PUSHED.function].concurrency
    gate = threading.Event()
    function.answer = lambda call: 204 if gate.wait(60) else 500
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        for content in contents(3 * most):
            project.send(content)
        until(lambda: platform.counts()["inFlight"] == 3 * most, "all received")
        until(lambda: len(function.calls) >= most, "as many as may be")
        # Turns of the platform's loop, in which it would have sent more.
        for _ in range(20):
            assert platform.counts()["inFlight"] == 3 * most
        assert function.busiest == most
        gate.set()
        platform.settled(3 * most)
        assert sorted(bodies(function)) == sorted(contents(3 * most))


@pytest.mark.parametrize("name", ["plain", "a b ", "Größe/日本.jpg", "a\r\nX-Evil: 1", '"%"'])
def test_a_finalized_object_arrives_as_eventarcs_event_whatever_its_name(
    tmp_path: Path, project: Project, function: Function, name: str
) -> None:
    resource = json.dumps({"name": name, "bucket": project.bucket, "generation": "1"}).encode()
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, {TRIGGERED.name: url}) as platform,
    ):
        project.notify("deleted", eventType="OBJECT_DELETE")
        project.notify("elsewhere", bucketId="other")
        number = project.notify(name, resource)
        until(lambda: platform.counts(EVENTARC)["received"] == 3, "three messages")
        platform.settled(1, EVENTARC)
        assert platform.counts(EVENTARC)["ignored"] == 2
    [call] = function.calls
    assert (call.path, call.body) == ("/", resource)
    assert call.headers["Ce-Id"] == number
    assert call.headers["Ce-Type"] == "google.cloud.storage.object.v1.finalized"
    assert call.headers["Ce-Source"].endswith(f"/buckets/{project.bucket}")
    assert call.headers["Ce-Bucket"] == project.bucket
    assert "X-Evil" not in call.headers
    assert call.claims()["aud"] == url


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_these_answers_acknowledge(
    tmp_path: Path, project: Project, function: Function, status: int
) -> None:
    function.answer = lambda call: status
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        project.send()
        platform.settled(1)
        assert len(function.calls) == 1


@pytest.mark.parametrize("status", [203, 206, 301, 400, 404, 429, 500, 503])
def test_all_other_answers_bring_it_again(
    tmp_path: Path, project: Project, function: Function, status: int
) -> None:
    function.answer = lambda call: status if len(function.calls) < 3 else 204
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        project.send(b"again")
        platform.settled(1)
        attempts = [json.loads(call.body)["deliveryAttempt"] for call in function.calls]
        assert attempts == [1, 2, 3]
        counts = platform.counts()
        assert (counts["delivered"], counts["failed"], counts["nacked"]) == (1, 2, 2)


def test_what_never_succeeds_is_kept_as_a_dead_letter(
    tmp_path: Path, project: Project, function: Function
) -> None:
    function.answer = lambda call: 500
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        project.send(b"poison", id="e1")
        [letter] = project.kept()
        assert (letter.data, letter.attributes["id"]) == (b"poison", "e1")
        assert len(function.calls) == PUSHED.max_attempts
        assert platform.counts()["unsettled"] == 0


def test_a_function_that_comes_up_late_gets_all_of_it_once(
    tmp_path: Path, project: Project, function: Function
) -> None:
    port = emulated.free_port()
    url = f"http://127.0.0.1:{port}"
    with running(tmp_path, project.address, project.name, by_url(url)) as platform:
        for content in contents(5):
            project.send(content)
        until(lambda: platform.counts()["failed"] >= 5, "five failures")
        with function.serving(port):
            platform.settled(5)
            assert sorted(bodies(function)) == sorted(contents(5))


def test_a_large_message_arrives_whole(
    tmp_path: Path, project: Project, function: Function
) -> None:
    large = bytes(range(256)) * (9 * 4096)
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        project.send(large)
        # Without data a message must have attributes.
        project.send(b"", type="empty")
        platform.settled(2)
        assert sorted(bodies(function)) == [b"", large]


@pytest.mark.asyncio
async def test_work_beyond_the_deadline_is_not_delivered_twice(
    tmp_path: Path, project: Project, function: Function
) -> None:
    """A second message, pulled with the same deadline and never extended, tells when the
    first would have come again."""
    lease = 10
    done = threading.Event()
    function.answer = lambda call: 204 if done.wait(60) else 500
    came: list[Any] = []
    topic = PUSHED.dead_letter_topic
    control = Pull(
        project.address,
        f"projects/{project.name}/subscriptions/{topics.kept_subscription(topic)}",
        lease,
        came.append,
        lambda: None,
    )
    with function.serving() as url:
        options = Options(tmp_path, project.name, project.address, by_url(url), lease=lease)
        async with serving(options) as platform:
            project.send(b"slow")
            await holds(lambda: bool(function.calls))
            project.publish(topic, b"control")
            pulling = asyncio.create_task(control.run())
            await holds(lambda: len(came) > 1)
            assert len(function.calls) == 1
            done.set()
            pulling.cancel()
            await asyncio.gather(pulling, return_exceptions=True)
            assert not platform.background.done()
    assert len(function.calls) == 1


async def holds(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.02)


# Ends and outages


def test_what_a_stopped_platform_holds_goes_to_the_next_at_once(
    tmp_path: Path, project: Project, function: Function
) -> None:
    stopped = threading.Event()
    function.answer = lambda call: 204 if stopped.wait(60) else 500
    with function.serving() as url:
        with running(tmp_path, project.address, project.name, by_url(url)):
            project.send(b"held")
            until(lambda: function.calls, "the first delivery")
        stopped.set()
        with running(tmp_path, project.address, project.name, by_url(url)) as second:
            # Less than the lease, after which it would come in any case.
            until(lambda: second.counts()["acked"] == 1, "the second delivery", LEASE / 2)
    assert bodies(function) == [b"held", b"held"]


def test_two_platforms_share_what_comes(
    tmp_path: Path, project: Project, function: Function
) -> None:
    with (
        function.serving() as url,
        running(tmp_path / "a", project.address, project.name, by_url(url)) as first,
        running(tmp_path / "b", project.address, project.name, by_url(url)) as second,
    ):
        for content in contents(40):
            project.send(content)
        until(lambda: first.counts()["acked"] + second.counts()["acked"] == 40, "40 settled")
        assert sorted(bodies(function)) == sorted(contents(40))


def test_pubsub_may_be_restarted_and_its_subscription_be_late(
    tmp_path: Path, function: Function
) -> None:
    """The emulator numbers anew after a restart: an acknowledgement of before would hit a message
    of after."""
    port, name = emulated.free_port(), "restarted"
    gate = threading.Event()
    function.answer = lambda call: 204 if gate.wait(60) else 500
    with (
        function.serving() as url,
        running(tmp_path, f"127.0.0.1:{port}", name, by_url(url)) as platform,
    ):
        with emulated.pubsub(port) as address, closing(Project(address, name)) as project:
            project.provision()
            project.send(b"before")
            project.send(b"before")
            until(lambda: len(function.calls) == 2, "the deliveries under way")
        until(lambda: platform.counts()["unsettled"] == 0, "the outage noticed")
        with emulated.pubsub(port) as address, closing(Project(address, name)) as project:
            project.provision()
            project.send(b"after")
            until(lambda: len(function.calls) == 3, "the delivery after the restart")
            gate.set()
            platform.settled(1)
            assert platform.counts()["acked"] == 1
    assert bodies(function) == [b"before", b"before", b"after"]


# Chaos


def switch(platform: Platform, **body: Any) -> None:
    answer = platform.http.post("/_emulator/chaos", json=body)
    assert answer.status_code == 200, answer.text


def test_a_lost_acknowledgement_really_redelivers(
    tmp_path: Path, project: Project, function: Function
) -> None:
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        switch(platform, lostAck=1)
        project.send(b"work")
        until(lambda: len(function.calls) >= 2, "a second delivery")
        assert platform.http.delete("/_emulator/chaos").status_code == 204
        platform.settled(1)
        counts = platform.counts()
        assert counts["lostAcks"] == counts["delivered"] - 1 == len(function.calls) - 1


def test_what_fails_before_never_reaches_the_function(
    tmp_path: Path, project: Project, function: Function
) -> None:
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        switch(platform, failBefore=1, duplicate=1)
        project.send(b"work")
        until(lambda: platform.counts()["failedBefore"] >= 2, "two failures")
        assert function.calls == []
        platform.http.delete("/_emulator/chaos")
        platform.settled(1)
        assert bodies(function) == [b"work"]


def test_every_message_comes_twice_and_late(
    tmp_path: Path, project: Project, function: Function
) -> None:
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        switch(platform, duplicate=1, delay=1, delaySeconds=0.01)
        for content in contents(20):
            project.send(content)
        platform.settled(20)
        assert Counter(bodies(function)) == dict.fromkeys(contents(20), 2)
        assert (platform.counts()["duplicates"], platform.counts()["delayed"]) == (20, 20)


@pytest.mark.asyncio
async def test_a_message_held_back_comes_right_after_a_later_one(
    tmp_path: Path, project: Project, function: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Then only the later message can let it go.
    monkeypatch.setattr("emulators.platform.deliveries._HOLD", 10 * PATIENCE)
    with function.serving() as url:
        options = Options(tmp_path, project.name, project.address, by_url(url), admin=True)
        async with serving(options) as platform, httpx.AsyncClient(base_url=platform.url) as http:
            await http.post("/_emulator/chaos", json={"reorder": 1})
            project.send(b"first")

            async def held() -> bool:
                shown = (await http.get("/_emulator/deliveries")).json()
                return bool(shown["subscriptions"][PUSHED.name]["reordered"])

            async with asyncio.timeout(PATIENCE):
                while not await held():
                    await asyncio.sleep(0.02)
            await http.delete("/_emulator/chaos")
            project.send(b"second")
            await holds(lambda: len(function.calls) == 2)
    assert bodies(function) == [b"second", b"first"]


def test_a_seed_makes_the_decisions_that_it_names(
    tmp_path: Path, project: Project, function: Function
) -> None:
    """Under concurrency the process does what the switch alone says about each message."""
    body = {"seed": 11, "duplicate": 0.4, "lostAck": 0.3, "failBefore": 0.3}
    with (
        function.serving() as url,
        running(tmp_path, project.address, project.name, by_url(url)) as platform,
    ):
        switch(platform, **body)
        ids = [project.send(content) for content in contents(30)]
        platform.settled(30)
        assert Counter(bodies(function)) == {
            content: _deliveries(body, message)
            for content, message in zip(contents(30), ids, strict=True)
        }


def _deliveries(body: Mapping[str, Any], message: str) -> int:
    """How often a message reaches the function until its acknowledgement does not get lost."""
    chaos, reached = parse(body), 0
    for attempt in range(1, PUSHED.max_attempts):
        trouble = chaos.trouble(PUSHED.name, message, attempt)
        if trouble.fail_before:
            continue
        reached += 2 if trouble.duplicate else 1
        if not trouble.lost_ack:
            return reached
    raise AssertionError("This seed makes a dead letter; take another.")


# What provision makes


def test_provision_twice_sets_right_what_differs(pubsub: str, project: Project) -> None:
    name = f"projects/{project.name}/subscriptions/{PUSHED.name}"
    topics.provision(pubsub, project.name, backoff=(3, 30))
    made = project.subscriber.get_subscription(subscription=name, timeout=10)
    assert made.retry_policy.minimum_backoff.total_seconds() == 3
    topics.provision(pubsub, project.name, backoff=None)
    made = project.subscriber.get_subscription(subscription=name, timeout=10)
    assert made.retry_policy.minimum_backoff.total_seconds() == PUSHED.min_backoff
    assert made.retry_policy.maximum_backoff.total_seconds() == PUSHED.max_backoff
    assert made.ack_deadline_seconds == PUSHED.ack_deadline
    letters = made.dead_letter_policy
    assert letters.dead_letter_topic.endswith(f"/topics/{PUSHED.dead_letter_topic}")
    assert letters.max_delivery_attempts == PUSHED.max_attempts


def test_every_declared_topic_and_trigger_is_there(project: Project) -> None:
    listed = project.subscriber.list_subscriptions(project=f"projects/{project.name}", timeout=10)
    found = {s.name.rpartition("/")[2]: s.topic.rpartition("/")[2] for s in listed}
    for declared in DECLARATION.subscriptions:
        assert found[declared.name] == declared.topic
        if declared.dead_letter_topic:
            kept = topics.kept_subscription(declared.dead_letter_topic)
            assert found[kept] == declared.dead_letter_topic
    for function in DECLARATION.functions:
        if function.trigger:
            topic = topics.eventarc_topic(function.trigger.bucket)
            assert found[topics.eventarc_subscription(function.name)] == topic
