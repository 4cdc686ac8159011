"""A function's archive holds what it loads and nothing else, and starts on nothing else."""

from __future__ import annotations

import os
import subprocess
import time
import zipfile
from pathlib import Path

import httpx
import pytest

from emulators.plan import HOST, Plan
from infra.declaration import DECLARATION
from tests.fixtures import venvs
from tests.fixtures.emulated import free_port
from tools import bundle
from tools.sources import ROOT, closure, functions

NAMES = functions()


@pytest.mark.parametrize("name", NAMES)
def test_two_archives_are_the_same_to_the_byte(name: str, tmp_path: Path) -> None:
    first, second = (bundle.bundle(name, tmp_path / folder) for folder in "ab")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_an_archive_holds_the_closure_and_nothing_else(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle.bundle(name, tmp_path)) as archive:
        names = set(archive.namelist())
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
    assert names >= {"main.py", "requirements.txt", "constraints.txt"}
    loaded = closure(ROOT / "functions" / name / "main.py")
    modules = {str(path.relative_to(ROOT)) for path in loaded if path.name != "main.py"}
    assert {one for one in names if one.endswith(".py")} == modules | {"main.py"}
    folders = {one.partition("/")[0] for one in names if "/" in one}
    assert folders <= {"shared"}


def test_an_archive_carries_no_tool_of_ours() -> None:
    for name in NAMES:
        text = bundle.contents(name)["requirements.txt"].decode()
        assert not {"pulumi", "pytest", "mypy"} & {line.split("==")[0] for line in text.split()}


def test_any_changed_file_changes_the_name() -> None:
    files = bundle.contents("activity")
    seen = {bundle.digest(files)}
    for name in files:
        seen.add(bundle.digest({**files, name: files[name] + b"#"}))
    assert len(seen) == len(files) + 1
    # Bytes that move over the border of two files are another archive too.
    assert bundle.digest({"a": b"xy", "b": b""}) != bundle.digest({"a": b"x", "b": b"y"})


def test_another_functions_edit_leaves_the_name() -> None:
    """Only tasks loads its domain: who edits it deploys tasks, not the whole system."""
    users = [name for name in NAMES if "shared/tasks/service.py" in bundle.contents(name)]
    assert "tasks" in users
    assert "auth" not in users


def test_no_function_no_archive(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bundle.bundle("nothing", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.emulated
@pytest.mark.parametrize("name", NAMES)
def test_an_archive_answers_in_an_environment_of_its_own(name: str, tmp_path: Path) -> None:
    """Nothing but the archive and what its own requirements install: as the build makes it."""
    files = bundle.contents(name)
    python = venvs.python_of({k: files[k] for k in ("requirements.txt", "constraints.txt")})
    with zipfile.ZipFile(bundle.bundle(name, tmp_path)) as archive:
        archive.extractall(tmp_path / "source")
    plan = Plan.usual(tmp_path)
    declared = plan.environment(DECLARATION.function_by_name[name])
    port = free_port()
    environment = {**declared, "PORT": str(port), "FUNCTION_TARGET": name, "PYTHONPATH": ""}
    environment["PATH"] = f"{python.parent}{os.pathsep}{declared['PATH']}"
    command = [python, "-m", "functions_framework", f"--host={HOST}", f"--port={port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tmp_path / "source", env=environment, stdout=log, stderr=log
        )
    try:
        assert _health(f"http://{HOST}:{port}/health", process, tmp_path / "log") == {
            "status": "ok",
            "service": name,
        }
    finally:
        process.terminate()
        process.wait(20)


def _health(url: str, process: subprocess.Popen[bytes], log: Path) -> object:
    transport = httpx.HTTPTransport(retries=0)
    with httpx.Client(transport=transport, timeout=10) as client:
        while True:
            assert process.poll() is None, log.read_text()
            try:
                return client.get(url).raise_for_status().json()
            except httpx.TransportError:
                time.sleep(0.02)
