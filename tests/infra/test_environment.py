"""Every function starts with the environment that the program gives it."""

from __future__ import annotations

import importlib
import json

import pytest

from infra.declaration import DECLARATION, Function
from infra.environment import LOCAL_ONLY, environment
from infra.settings import SettingsError, read
from tests.infra.stacks import STACKS
from tests.test_declaration import settings_of


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("function", DECLARATION.functions, ids=lambda one: one.name)
def test_a_functions_settings_take_its_cloud_environment(function: Function, stack: str) -> None:
    made = {"SCANNER": "https://scanner-abc.a.run.app"} if stack == "prod" else {}
    given = environment(function, read(STACKS[stack]), made)
    settings = settings_of(function.name).read(given)
    assert settings.environment == "production"
    assert given.keys() - {"THREADS"} <= set(function.env) - LOCAL_ONLY
    told = {**STACKS[stack], "snaptask:environment": json.dumps(dict.fromkeys(function.env, "x"))}
    # What the operator says goes before, and arrives only where it is declared.
    assert environment(function, read(told)).keys() - {"THREADS"} == set(function.env) - LOCAL_ONLY


def test_a_name_without_a_value_is_told_and_can_be_given() -> None:
    function = Function("odd", "http", 1, 512, 1, 1, 1, 60, env=("SMTP_HOST",))
    silent = {key: value for key, value in STACKS["dev"].items() if "environment" not in key}
    with pytest.raises(SettingsError, match="odd needs SMTP_HOST"):
        environment(function, read(silent))
    assert environment(function, read(STACKS["dev"]))["SMTP_HOST"] == "smtp.example.com"


def test_a_scanner_of_our_own_is_not_named_beside_another() -> None:
    """An `off` that was left there would go before it, and nothing would be scanned."""
    thumbnails = DECLARATION.function_by_name["thumbnails"]
    made = {"SCANNER": "https://scanner-abc.a.run.app"}
    with pytest.raises(SettingsError, match="SCANNER is made by the program"):
        environment(thumbnails, read(STACKS["dev"]), made)
    with pytest.raises(SettingsError, match="thumbnails needs SCANNER"):
        environment(thumbnails, read(STACKS["prod"]))
    given = environment(thumbnails, read(STACKS["prod"]), made)
    assert given["SCANNER"] == made["SCANNER"]


def test_an_issuer_is_where_its_keys_are() -> None:
    settings = read(STACKS["prod"])
    by_name = DECLARATION.function_by_name
    issuer = environment(by_name["auth"], settings)["ISSUER"]
    assert environment(by_name["media"], settings)["ISSUER"] == issuer
    keys = environment(by_name["media"], settings)["JWKS_URL"]
    assert keys == f"{issuer}/.well-known/jwks.json"


def test_no_module_of_the_program_hides_another() -> None:
    """The program runs with its own folder first on the path."""
    import sys

    from tests.fixtures.sources import ROOT

    names = {path.stem for path in (ROOT / "infra").glob("*.py")} - {"__main__"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert not names & (set(sys.stdlib_module_names) | folders)
    for name in ("pulumi", "grpc", "google", "yaml"):
        assert name not in names
    assert len((ROOT / "infra" / "__main__.py").read_text().splitlines()) < 60
    assert importlib.util.find_spec("infra.declaration") is not None
