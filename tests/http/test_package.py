"""The package's names come when they are asked for, and functions of events ask for few."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shared.http
from tests.fixtures.sources import ROOT

LOADED = """
import sys
import shared.events.http, shared.media.pipeline, shared.tasks.withdrawal
from shared.http import Model
assert Model is sys.modules["shared.http.model"].Model
print(*sorted(name for name in sys.modules if name.startswith("shared.")))
"""


def test_a_function_of_events_loads_no_router() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(ran.stdout.split())
    assert {"shared.http.json", "shared.http.problems", "shared.media.model"} <= loaded
    router = {f"shared.http.{name}" for name in ("app", "binders", "routes", "signature")}
    assert loaded.isdisjoint(router | {"shared.media.api_model"})


def test_every_name_of_the_package_is_there_and_no_other() -> None:
    for name in shared.http.__all__:
        assert getattr(shared.http, name).__name__ == name
    with pytest.raises(AttributeError, match="Router"):
        _ = shared.http.Router
