"""`make seed` fills a running local cloud once, however often it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulators.plan import ROOT
from tests.fixtures.stack import Stack, eventually
from tools import seed

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def run(data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.seed", f"--data={data}"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def whole(stack: Stack) -> list[Any]:
    """The demo account's tasks with their pictures, as it sees them."""
    with seed.signed_in(stack.url) as api:
        tasks = api.get("/tasks", params={"limit": 100}).json()["items"]
        return [
            (task["title"], task["status"], task["dueAt"], _pictures(api, task["id"]))
            for task in sorted(tasks, key=lambda task: str(task["title"]))
        ]


def _pictures(api: httpx.Client, task: str) -> list[tuple[str, str]]:
    media = api.get(f"/tasks/{task}/with-media").json()["media"]
    return [(one["id"], one["state"]) for one in media]


def test_seeding_twice_is_seeding_once(stack: Stack) -> None:
    first = run(stack.plan.data)
    assert first.returncode == 0, first.stderr
    assert seed.EMAIL in first.stdout
    seen = whole(stack)
    assert len(seen) == len(seed.SEEDS)
    assert {state for task in seen for _, state in task[3]} == {"ready"}
    assert sum(len(task[3]) for task in seen) == 4
    second = run(stack.plan.data)
    assert second.returncode == 0, second.stderr
    assert whole(stack) == seen


def test_a_picture_thrown_away_since_does_not_come_back(stack: Stack) -> None:
    assert run(stack.plan.data).returncode == 0
    with seed.signed_in(stack.url) as api:
        listed = api.get("/media", params={"limit": 100}).json()["items"]
        gone = next(one["id"] for one in listed if "grey" in one["fileName"])
        assert api.delete(f"/media/{gone}").status_code == 204
        again = run(stack.plan.data)
        assert again.returncode == 0, again.stderr
        assert api.get(f"/media/{gone}").status_code == 404
        left = eventually(lambda: api.get("/media").json()["items"], lambda items: len(items) == 3)
        assert gone not in {one["id"] for one in left}


def test_without_a_cloud_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 1
    assert "make dev" in done.stderr
