"""CPU of the server per request: a page of 20 tasks, a create, a signed upload.

`python -m tests.bench.request_cpu [--requests N]`. CPU is what the function's processes spent
(user and system, from the kernel's count) for N requests over one kept connection, in turns over
several rounds, of which the least counts. Beside them stands an empty functions-framework
function under the same client, so that what the framework itself costs can be told apart.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil

from tests.bench.cold_start import EMPTY, environment_of, started
from tests.bench.cpu import spent
from tests.fixtures.stack import Person, Stack, announced, local_cloud

ROUNDS = 5
# Milliseconds of CPU, from the issue that asked for this benchmark.
LIMITS = {"page of 20 tasks": 2.5, "create": 1.5, "sign": 1.2}


def per_request(
    processes: list[psutil.Process], call: Callable[[], httpx.Response], count: int
) -> float:
    """Milliseconds of CPU."""
    before = spent(processes)
    for _ in range(count):
        call().raise_for_status()
    return (spent(processes) - before) / count * 1000


def compare(stack: Stack, count: int) -> dict[str, float]:
    plan = stack.plan
    with stack.person() as person, tempfile.TemporaryDirectory() as folder:
        for number in range(25):
            person.task(f"Task number {number}")
        source = Path(folder) / "main.py"
        source.write_text(EMPTY)
        bare = {**environment_of(plan, "tasks"), "FUNCTION_TARGET": "empty"}
        with started(source, bare) as (url, empty), httpx.Client() as client:
            _await(client, url)
            ways = {"empty": ([empty, *empty.children()], lambda: client.get(url))}
            ways |= _ways(stack, person, client)
            least = dict.fromkeys(ways, float("inf"))
            for _ in range(ROUNDS):
                for name, (processes, call) in ways.items():
                    least[name] = min(least[name], per_request(processes, call, count))
    return least


Way = tuple[list[psutil.Process], Callable[[], httpx.Response]]


def _ways(stack: Stack, person: Person, client: httpx.Client) -> dict[str, Way]:
    headers = {"Authorization": person.api.headers["Authorization"]}
    tasks, media = stack.plan.url("tasks"), stack.plan.url("media")
    upload = announced(b"x" * 1000, "image/jpeg")
    return {
        "page of 20 tasks": (
            stack.processes("tasks"),
            lambda: client.get(f"{tasks}/?limit=20&status=open", headers=headers),
        ),
        "create": (
            stack.processes("tasks"),
            # Done ones, so that the page of open tasks stays what it was.
            lambda: client.post(
                f"{tasks}/", json={"title": "Paint", "status": "done"}, headers=headers
            ),
        ),
        "sign": (
            stack.processes("media"),
            lambda: client.post(f"{media}/uploads", json=upload, headers=headers),
        ),
    }


def _await(client: httpx.Client, url: str) -> None:
    while True:
        try:
            client.get(url).raise_for_status()
        except httpx.TransportError:
            continue
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    count = parser.parse_args().requests
    with tempfile.TemporaryDirectory() as folder, local_cloud(Path(folder) / "data") as stack:
        least = compare(stack, count)
    print(f"{'CPU per request':<20} {'ms':>6} {'empty = 1':>10} {'to hold':>8}")
    for name, value in least.items():
        limit = f"{LIMITS[name]:8.1f}" if name in LIMITS else f"{'':8}"
        print(f"{name:<20} {value:6.2f} {value / least['empty']:10.2f} {limit}")


if __name__ == "__main__":
    main()
