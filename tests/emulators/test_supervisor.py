"""The local cloud as a whole: what it keeps, how it ends, and what it does about trouble."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from emulators.plan import ROOT, Plan
from tests.fixtures import http, pictures
from tests.fixtures.sources import functions
from tests.fixtures.stack import PASSWORD, Stack, eventually, local_cloud

pytestmark = pytest.mark.emulated
PHOTO = pictures.saved(pictures.photo(320, 240), "JPEG")


def family(stack: Stack) -> list[psutil.Process]:
    """All processes of the local cloud but the supervisor."""
    return psutil.Process(stack.process.pid).children(recursive=True)


def are_gone(processes: list[psutil.Process]) -> None:
    eventually(lambda: [one for one in processes if _lives(one)], lambda alive: not alive)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != "zombie"
    except psutil.NoSuchProcess:
        return False


def log_of(data: Path) -> str:
    return (data / "log").read_text()


def test_a_restart_keeps_everything_and_a_reset_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with local_cloud(data) as stack, stack.person() as person:
        task = person.task()
        media_id = person.upload(PHOTO)
        assert person.settled(media_id)["state"] == "ready"
        person.api.post(f"/tasks/{task['id']}/attach-media", json={"mediaId": media_id})
        sockets = [data / "run" / name / "gunicorn.ctl" for name in functions()]
        eventually(lambda: [one for one in sockets if not one.is_socket()], lambda none: not none)
        assert "Control server error" not in log_of(data), "one name for all"
        processes = family(stack)
        # The event of this one never arrives before the end.
        chaos = f"{stack.plan.url('platform')}/_emulator/chaos"
        assert http.post(chaos, json={"seed": 1, "failBefore": 1.0}).status_code == 200
        waiting = person.upload(PHOTO)
        email, refresh = person.email, person.tokens["refreshToken"]
    assert stack.process.returncode == 0
    are_gone(processes)
    assert Plan.running(data) is None

    with local_cloud(data) as stack, stack.client() as api:
        login = {"email": email, "password": PASSWORD}
        assert api.post("/auth/login", json=login).status_code == 200
        # Made before the restart: the session and the key that sealed it were kept.
        tokens = api.post("/auth/refresh", json={"refreshToken": refresh}).json()
        api.headers["Authorization"] = f"Bearer {tokens['accessToken']}"
        (picture,) = api.get(f"/tasks/{task['id']}/with-media").json()["media"]
        assert http.get(picture["thumbnailUrl"]).status_code == 200
        eventually(
            lambda: api.get(f"/media/{waiting}").json()["state"], lambda state: state == "ready"
        )

    assert command(data, "reset").returncode == 0
    with local_cloud(data) as stack, stack.client() as api:
        assert api.post("/auth/login", json=login).status_code == 401


@pytest.mark.parametrize("part", ["tasks", "storage"])
def test_the_death_of_a_part_ends_the_whole_and_says_which(tmp_path: Path, part: str) -> None:
    data = tmp_path / "data"
    with local_cloud(data) as stack:
        processes = family(stack)
        port = stack.plan.ports[part]
        victim = next(p for p in processes if _names(p, part, port))
        victim.kill()
        assert stack.process.wait(60) == 1
        are_gone(processes)
    assert f"Stopping: {part} ended" in log_of(data)


def _names(process: psutil.Process, part: str, port: int) -> bool:
    """gunicorn's master is a direct child; its worker is not, and comes again when it dies."""
    arguments = " ".join(process.cmdline())
    master = process.ppid() == process.parent().pid and os.getpgid(process.pid) == process.pid
    return master and (f"emulators.{part}" in arguments or f"functions/{part}/" in arguments)


def test_a_killed_supervisor_takes_everything_along(tmp_path: Path) -> None:
    with local_cloud(tmp_path / "data") as stack:
        processes = family(stack)
        assert len(processes) > 10
        stack.process.kill()
        stack.process.wait()
        are_gone(processes)


def test_the_other_commands_know_what_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with local_cloud(data):
        following = subprocess.Popen(
            [sys.executable, "-m", "emulators", f"--data={data}", "logs"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        second = command(data, "up", "--free-ports")
        assert second.returncode == 1
        assert "runs on" in second.stderr
        assert "Stop the local cloud first" in command(data, "reset").stderr
        status = command(data, "status")
        assert status.returncode == 0, status.stdout
        # The platform's part serves its secrets and takes its mail beside itself.
        assert status.stdout.count(" serves ") == len(Plan.usual(data).ports) - 2
    output, _ = following.communicate(timeout=60)
    assert "Ready after" in output
    assert "Stopping" in output
    assert command(data, "status").returncode == 1


def test_a_port_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    usual = Plan.usual(tmp_path)
    with socket.socket() as other:
        try:
            other.bind(("127.0.0.1", usual.ports["platform"]))
        except OSError:
            # Somebody's own local cloud has it; that serves as well.
            pass
        else:
            other.listen()
        refused = command(tmp_path / "data", "up")
    assert refused.returncode == 1
    assert f"{usual.ports['platform']} (for platform)" in refused.stderr
    assert not (tmp_path / "data" / "storage").exists()


def test_changed_code_runs_at_once_and_broken_code_waits_for_the_next_change(
    tmp_path: Path,
) -> None:
    copy, data = tmp_path / "copy", tmp_path / "data"
    for folder in ("emulators", "functions", "infra", "services", "shared", "web", "docs"):
        shutil.copytree(ROOT / folder, copy / folder)
    main = copy / "functions" / "activity" / "main.py"
    whole = main.read_text()
    changed = re.sub(r'Receiver\(\s*"activity"', 'Receiver("changed"', whole)
    assert changed != whole
    with local_cloud(data, root=copy) as stack:
        url = stack.plan.url("activity")
        main.write_text(changed)
        eventually(lambda: log_of(data), lambda log: "activity runs the changed code" in log)
        assert http.get(f"{url}/health").json()["service"] == "changed"
        main.write_text("this is no Python")
        eventually(lambda: log_of(data), lambda log: "starts again at the next change" in log)
        assert http.get(f"{stack.url}/health").status_code == 200
        main.write_text(whole)
        eventually(lambda: log_of(data), lambda log: log.count("runs the changed code") == 2)
        assert http.get(f"{url}/health").json()["service"] == "activity"


def command(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "emulators", f"--data={data}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
