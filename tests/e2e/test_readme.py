"""What the README prints works as printed."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from emulators.plan import ROOT
from tests.fixtures.stack import Stack

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
README = (ROOT / "README.md").read_text()


def block(containing: str) -> str:
    (found,) = [b for b in re.findall(r"```(?:bash)?\n(.*?)```", README, re.S) if containing in b]
    return str(found)


def run(script: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_lines_do_what_they_say(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    script = block("auth/register").replace("localhost:3000", stack.plan.address("gateway"))
    # Which comes again when it is told to, as a database on a busy machine may make it.
    script = script.replace("curl --fail", "curl --fail --retry 20")
    output = run(script, tmp_path)
    assert '"status": "ok"' in output
    assert '"mediaCount":1' in output
    with Image.open(tmp_path / "thumbnail.webp") as thumbnail:
        assert thumbnail.format == "WEBP"
    original = (ROOT / "docs" / "images" / "coffee.jpg").read_bytes()
    assert (tmp_path / "original.jpg").read_bytes() == original


def test_the_switches_for_trouble_are_there(stack: Stack, tmp_path: Path) -> None:
    script = block("_emulator/chaos").replace("curl -X", "curl --fail -X")
    for name, port in (("platform", 3901), ("storage", 3900)):
        script = script.replace(f"localhost:{port}", stack.plan.address(name))
    header = "-H 'Content-Type: application/json'"
    tidy = f"""
    curl --fail -X DELETE {stack.plan.url("platform")}/_emulator/chaos {header}
    curl --fail -X DELETE {stack.plan.url("storage")}/_emulator/faults {header}
    """
    output = run(script + tidy, tmp_path)
    assert '"duplicate": 0.5' in output
    assert '"cut"' in output


@pytest.mark.parametrize("command", re.findall(r"`make ([a-z-]+)`", README))
def test_every_make_command_exists(command: str) -> None:
    assert re.search(rf"^{command}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
