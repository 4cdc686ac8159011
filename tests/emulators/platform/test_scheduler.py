"""Scheduler jobs: when told, by the clock, never two runs of one at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from emulators.platform.identity import account
from tests.emulators.platform.conftest import PROJECT
from tests.emulators.platform.service import JOB, Call, Function, Platform, running, until

pytestmark = pytest.mark.emulated


@pytest.fixture
def served(tmp_path: Path, function: Function) -> Iterator[tuple[Platform, str]]:
    with (
        function.serving() as url,
        running(tmp_path, "127.0.0.1:9", PROJECT, {JOB.function: url}) as platform,
    ):
        yield platform, url


def pause(platform: Platform, paused: bool = True) -> None:
    answer = platform.http.post("/_emulator/scheduler", json={"paused": paused})
    assert answer.json()["paused"] is paused


def run(platform: Platform) -> Any:
    return platform.http.post("/_emulator/scheduler/run", json={"job": JOB.name}).json()


def test_a_job_comes_as_schedulers_with_the_platforms_token(
    served: tuple[Platform, str], function: Function
) -> None:
    platform, url = served
    pause(platform)
    assert run(platform) == {"job": JOB.name, "status": 204}
    call = function.calls[-1]
    assert call.path == JOB.path
    assert call.headers["X-Cloudscheduler"] == "true"
    assert call.headers["X-Cloudscheduler-Jobname"] == JOB.name
    claims = call.claims()
    assert (claims["aud"], claims["email"]) == (url, account("platform", PROJECT))


def test_a_job_runs_by_itself_until_paused(
    served: tuple[Platform, str], function: Function
) -> None:
    platform, _ = served
    until(lambda: [c.path for c in function.calls].count(JOB.path) >= 2, "two runs")
    pause(platform)
    assert platform.http.get("/_emulator/scheduler").json()["paused"] is True
    pause(platform, False)
    before = len(function.calls)
    until(lambda: len(function.calls) > before, "a run after the pause")


def test_two_runs_of_a_job_never_overlap(served: tuple[Platform, str], function: Function) -> None:
    platform, _ = served
    pause(platform)
    gate = threading.Event()

    def answer(call: Call) -> int:
        gate.wait(30)
        return 204

    function.answer = answer
    with ThreadPoolExecutor(4) as threads:
        runs = [threads.submit(run, platform) for _ in range(4)]
        until(lambda: function.calls, "the first run")
        jobs = platform.http.get("/_emulator/scheduler").json()["jobs"]
        assert {job["name"]: job["running"] for job in jobs}[JOB.name] is True
        gate.set()
        assert [one.result()["status"] for one in runs] == [204] * 4
    assert function.busiest == 1


def test_a_failing_and_a_missing_function_are_told(tmp_path: Path, function: Function) -> None:
    function.answer = lambda call: 503
    with (
        function.serving() as url,
        running(tmp_path, "127.0.0.1:9", PROJECT, {JOB.function: url}) as platform,
    ):
        pause(platform)
        assert run(platform)["status"] == 503
    with running(tmp_path, "127.0.0.1:9", PROJECT, {JOB.function: url}) as platform:
        pause(platform)
        assert run(platform)["status"] is None


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("scheduler", {"paused": 1}, 400),
        ("scheduler", {}, 400),
        ("scheduler", {"paused": True, "x": 1}, 400),
        ("scheduler", [], 400),
        ("scheduler/run", {"job": "unknown"}, 404),
        ("scheduler/run", {"job": 1}, 400),
        ("chaos", {"duplicates": 1}, 400),
        ("chaos", [1], 400),
    ],
)
def test_a_wrong_switch_changes_nothing(
    platform: Platform, path: str, body: Any, status: int
) -> None:
    assert platform.http.post(f"/_emulator/{path}", json=body).status_code == status
    assert platform.http.get("/_emulator/scheduler").json()["paused"] is False
    assert platform.http.get("/_emulator/chaos").json()["duplicate"] == 0


def test_a_form_from_another_page_switches_nothing(platform: Platform) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        headers = {"Content-Type": kind} if kind else {}
        answer = platform.http.post(
            "/_emulator/chaos", content=b'{"duplicate": 1}', headers=headers
        )
        assert answer.status_code == 415
    assert platform.http.get("/_emulator/chaos").json()["duplicate"] == 0
