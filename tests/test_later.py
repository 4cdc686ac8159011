"""What a function does not use it does not load; what is used after all is there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from emulators.plan import Plan
from infra.declaration import DECLARATION
from shared.later import imported_later
from tests.fixtures.sources import ROOT

_LOADED = """
import runpy, sys
runpy.run_path("functions/thumbnails/main.py")
for name in ("google.cloud.storage", "cryptography.x509", "pi_heif", "jwt"):
    print(name in sys.modules)
from google.oauth2 import service_account
print(service_account.Credentials.__name__, "cryptography.x509" in sys.modules)
"""


def test_the_picture_function_starts_without_what_it_does_not_use(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """In a process of its own, because what is loaded stays."""
    plan = Plan.on_free_ports(tmp_path_factory.mktemp("plan"))
    environment = plan.environment(DECLARATION.function_by_name["thumbnails"])
    environment.pop("PLATFORM_CALLER")
    done = subprocess.run(
        [sys.executable, "-c", _LOADED],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["True", "False", "False", "False", "Credentials", "True"]


def test_what_is_loaded_already_stays_as_it_is() -> None:
    before = sys.modules["os"]
    imported_later("os")
    assert sys.modules["os"] is before


def test_what_is_missing_is_told_at_once() -> None:
    with pytest.raises(ModuleNotFoundError):
        imported_later("os.no_such_module")
