"""Layers (d) and (e): the program as the CLI runs it, and as mypy reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.sources import ROOT
from tests.infra import charts, typed
from tests.infra.recordings import recorded, run
from tests.infra.stacks import STACKS

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("infra")]


def engine(stack: str, *, preview: bool, config: Any = None) -> Any:
    told = {"stack": stack, "config": config or STACKS[stack], "preview": preview}
    return run("engine.py", str(ROOT), told=told)


@pytest.mark.parametrize("stack", STACKS)
def test_up_registers_what_the_monitor_recorded(stack: str) -> None:
    told = engine(stack, preview=False)
    assert told["error"] == ""
    assert told["logged"] == []
    assert told["hooks"] == ["first-deploy"]
    made = {(one["type"], one["name"]): one["inputs"] for one in told["resources"]}
    seen = {(one.type, one.name): one.inputs for one in recorded(STACKS[stack], stack).resources}
    assert made.keys() == seen.keys()
    assert made == seen
    assert told["outputs"]["api"].startswith("https://")


@pytest.mark.parametrize("stack", STACKS)
def test_a_preview_knows_what_google_will_say_of_nothing(stack: str) -> None:
    """Nothing may hang on a value that only a created resource has."""
    preview = engine(stack, preview=True)
    assert preview["error"] == ""
    names = {(one["type"], one["name"]) for one in preview["resources"]}
    up = {(one.type, one.name) for one in recorded(STACKS[stack], stack).resources}
    assert names == up


def test_a_wrong_configuration_ends_before_the_first_resource() -> None:
    told = engine("dev", preview=True, config={**STACKS["dev"], "snaptask:colour": "red"})
    assert "snaptask:colour: there is no such setting" in told["error"]
    assert told["resources"] == []


def test_the_types_are_those_of_the_sdk(tmp_path: Path) -> None:
    assert typed.errors(sorted((ROOT / "infra").glob("*.py")), tmp_path) == []


def test_the_dashboard_has_only_fields_that_google_knows() -> None:
    assert charts.findings(recorded(STACKS["prod"], "prod")) == []
    assert "Dashboard" in charts.schemas()
