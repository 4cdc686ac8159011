"""Each function and service installs what it imports, in the versions of the whole, and no more."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.fixtures.sources import ROOT, closure, functions, imports, ours

# What is deployed by itself.
UNITS = [*(f"functions/{name}" for name in functions()), "services/scanner"]

# The distribution behind an imported name, the most exact name first.
_DISTRIBUTIONS = {
    "google.cloud.firestore_v1": {"google-cloud-firestore"},
    "google.cloud.secretmanager_v1": {"google-cloud-secret-manager"},
    "google.cloud.storage": {"google-cloud-storage"},
    "google.pubsub_v1": {"google-cloud-pubsub"},
    "google.auth": {"google-auth"},
    "google_crc32c": {"google-crc32c"},
    "functions_framework": {"functions-framework"},
    "PIL": {"pillow"},
    "argon2": {"argon2-cffi"},
    "cryptography": {"cryptography"},
    "grpc": {"grpcio"},
    # RS256 is not in PyJWT itself: it imports cryptography when a key of that kind comes.
    "jwt": {"pyjwt", "cryptography"},
    "pi_heif": {"pi-heif"},
    "pydantic": {"pydantic"},
    "pydantic_core": {"pydantic"},
    "urllib3": {"urllib3"},
    "werkzeug": {"werkzeug"},
    # These speak in the types of another one, which therefore comes with them.
    "flask": {"functions-framework"},
    "google.api_core": {"google-cloud-storage"},
    "requests": {"google-cloud-storage"},
}


def pins(path: str) -> dict[str, str]:
    lines = (ROOT / path).read_text().splitlines()
    found = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9a-z.]+)", line) for line in lines]
    odd = [
        line
        for line, match in zip(lines, found, strict=True)
        if not match and line and not line.startswith("#")
    ]
    assert odd == []
    named = [(match[1].lower().replace("_", "-"), match[2]) for match in found if match]
    assert len(named) == len(dict(named)), "a line twice"
    return dict(named)


def needed(unit: str) -> set[str]:
    distributions: set[str] = set()
    for file in _loaded(ROOT / unit):
        for imported in imports(file):
            top = imported.partition(".")[0]
            if top in sys.stdlib_module_names or ours(imported) is not None:
                continue
            matches = [key for key in _DISTRIBUTIONS if f"{imported}.".startswith(f"{key}.")]
            assert matches, f"{file}: {imported} is of no known distribution"
            distributions |= _DISTRIBUTIONS[max(matches, key=len)]
    return distributions


def _loaded(folder: Path) -> set[Path]:
    return {file for start in folder.glob("*.py") for file in closure(start)}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_requires_exactly_what_it_imports(unit: str) -> None:
    assert set(pins(f"{unit}/requirements.txt")) == needed(unit)


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_has_the_versions_of_the_whole(unit: str) -> None:
    root = pins("requirements.txt")
    mine = pins(f"{unit}/requirements.txt")
    assert {line: root.get(line) for line in mine} == mine
    assert list(mine) == sorted(mine)


def test_constraints_and_requirements_agree() -> None:
    constraints = pins("constraints.txt")
    for name, version in pins("requirements.txt").items():
        assert constraints.get(name, version) == version


def test_the_closure_sees_what_only_a_submodule_imports() -> None:
    """Or the comparison above could not fail."""
    files = {str(file.relative_to(ROOT)) for file in closure(ROOT / "functions/thumbnails/main.py")}
    assert {"shared/media/sniff.py", "shared/http/app.py", "shared/events/sender.py"} <= files
    assert "shared/tasks/service.py" not in files
    assert "google.pubsub_v1" in imports(ROOT / "shared/events/pubsub.py")


@pytest.mark.xdist_group("together")
def test_what_is_marked_as_a_group_runs_in_one_process(request: pytest.FixtureRequest) -> None:
    """pytest 9.2 has no place for the mark of xdist 3.8, which then is ignored without a word:
    every process started a local cloud of its own."""
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@together")
