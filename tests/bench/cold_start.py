"""Cold start of each function against an empty one: process start to the first 200.

`python -m tests.bench.cold_start [--rounds N]`. Every function is started as production starts
it (functions-framework, gunicorn), against a running local cloud, in turns with the empty one so
that a noisy neighbour troubles all alike. `health` answers without any backend; `work` is the
first real request: a page of tasks, a signed upload, a sign-in, an event, a sweep. Event functions
run as in the cloud, where IAM checks the caller before they see him. The medians of CPU time
(master and worker together) and of wall time are printed, and their ratios to the empty function.
"""

from __future__ import annotations

import argparse
import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import psutil

from emulators.plan import HOST, ROOT, Plan
from infra.declaration import DECLARATION
from shared.ids import new_id
from tests.bench.cpu import spent
from tests.fixtures.emulated import free_port
from tests.fixtures.stack import PASSWORD, Person, Stack, announced, local_cloud

LIMIT = 2.4
EMPTY = """
import functions_framework

@functions_framework.http
def empty(request):
    return "ok"
"""
FINALIZED = {"ce-type": "google.cloud.storage.object.v1.finalized"}
Call = Callable[[str], int]


@contextmanager
def started(source: Path, environment: dict[str, str]) -> Iterator[tuple[str, psutil.Popen]]:
    port = free_port()
    command = [sys.executable, "-m", "functions_framework", f"--host={HOST}", f"--port={port}"]
    process = psutil.Popen(
        [*command, f"--source={source}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://{HOST}:{port}", process
    finally:
        process.terminate()
        process.wait(20)


def measure(source: Path, environment: dict[str, str], call: Call) -> tuple[float, float]:
    """Seconds of CPU and of wall time until `call` was answered with a success."""
    began = time.perf_counter()
    with started(source, environment) as (url, process):
        while not _succeeds(call, url):
            if process.poll() is not None:
                raise SystemExit(f"{source} does not start")
        wall = time.perf_counter() - began
        family = [process, *process.children(recursive=True)]
        return spent(family), wall


def _succeeds(call: Call, url: str) -> bool:
    try:
        return 200 <= call(url) < 300
    except httpx.TransportError:
        time.sleep(0.002)
        return False


def health(url: str) -> int:
    return httpx.get(f"{url}/health", timeout=10).status_code


def first_work(plan: Plan, person: Person) -> dict[str, Call]:
    headers = {"Authorization": person.api.headers["Authorization"]}
    credentials = {"email": person.email, "password": PASSWORD}
    upload = announced(b"x" * 1000, "image/jpeg")

    def event(url: str, **more: Any) -> int:
        return httpx.post(url, timeout=10, **more).status_code

    return {
        "auth": lambda url: httpx.post(f"{url}/login", json=credentials, timeout=10).status_code,
        "tasks": lambda url: httpx.get(f"{url}/", headers=headers, timeout=10).status_code,
        "media": lambda url: (
            httpx.post(f"{url}/uploads", json=upload, headers=headers, timeout=10).status_code
        ),
        "thumbnails": lambda url: event(f"{url}/", json=finalized(plan), headers=FINALIZED),
        "activity": lambda url: event(f"{url}/", json=pushed()),
        "maintenance": lambda url: event(f"{url}/sweep-outbox"),
    }


def finalized(plan: Plan) -> dict[str, str]:
    """Of an upload that nobody announced: it is looked up, and its object deleted."""
    name = {"bucket": plan.bucket("inbox"), "name": f"uploads/{'a' * 20}"}
    return {**name, "generation": "1", "size": "1", "contentType": "image/jpeg"}


def pushed() -> dict[str, Any]:
    """A new event of ours, for the audit trail."""
    identifier = new_id()
    data = json.dumps({"id": identifier, "owner": "a" * 20}).encode()
    attributes = {"id": identifier, "type": "snaptask.media.v1.ready"}
    return {"message": {"attributes": attributes, "data": base64.b64encode(data).decode()}}


def environment_of(plan: Plan, name: str) -> dict[str, str]:
    environment = plan.environment(DECLARATION.function_by_name[name])
    environment.pop("PLATFORM_CALLER", None)
    return environment


def compare(stack: Stack, rounds: int) -> None:
    with stack.person() as person, tempfile.TemporaryDirectory() as folder:
        empty = Path(folder) / "main.py"
        empty.write_text(EMPTY)
        bare = {**environment_of(stack.plan, "tasks"), "FUNCTION_TARGET": "empty"}
        ways: dict[str, tuple[Path, dict[str, str], Call]] = {"empty": (empty, bare, health)}
        work = first_work(stack.plan, person)
        for function in DECLARATION.functions:
            source = ROOT / "functions" / function.name / "main.py"
            environment = environment_of(stack.plan, function.name)
            ways[f"{function.name} health"] = (source, environment, health)
            if function.name in work:
                ways[f"{function.name} work"] = (source, environment, work[function.name])
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                seen[name].append(measure(*way))
    report(seen)


def report(seen: dict[str, list[tuple[float, float]]]) -> None:
    middle = {
        name: [median(column) for column in zip(*runs, strict=True)] for name, runs in seen.items()
    }
    base_cpu, base_wall = middle["empty"]
    print(f"{'cold start':<22} {'CPU s':>7} {'ratio':>6} {'wall s':>7} {'ratio':>6}")
    for name, (cpu, wall) in middle.items():
        print(f"{name:<22} {cpu:7.2f} {cpu / base_cpu:6.2f} {wall:7.2f} {wall / base_wall:6.2f}")
    worst = max(cpu / base_cpu for cpu, _ in middle.values())
    print(f"highest CPU ratio {worst:.2f}, to hold {LIMIT}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, local_cloud(Path(folder) / "data") as stack:
        compare(stack, rounds)


if __name__ == "__main__":
    main()
