"""A stack's configuration is read whole, or refused with all that is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.settings import NAMESPACE, SettingsError, read
from tests.fixtures.sources import ROOT
from tests.infra.stacks import DEV, PROD


def test_a_stack_is_read_into_values() -> None:
    settings = read(PROD)
    assert settings.production
    assert settings.min_instances == {"auth": 1}
    assert settings.base_url == "https://tasks.example.com/api"
    assert settings.all_origins == ("https://tasks.example.com", "https://app.example.com")
    assert read(DEV).base_url == "https://europe-west1-acme-dev.cloudfunctions.net"


@pytest.mark.parametrize(
    "key", ["gcp:project", "gcp:region", "snaptask:production", "snaptask:publicInvocation"]
)
def test_what_is_needed_is_missed_by_name(key: str) -> None:
    with pytest.raises(SettingsError, match=f"{key}: is missing"):
        read({name: value for name, value in DEV.items() if name != key})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("snaptask:alertMail", "ops@example.com"),
        ("snaptask:alert_email", "ops@example.com"),
        ("snaptask:production", "yes"),
        ("snaptask:origins", "https://app.example.com"),
        ("snaptask:origins", '["http://app.example.com"]'),
        ("snaptask:origins", '["https://app.example.com/"]'),
        ("snaptask:origins", '["*"]'),
        ("snaptask:domain", "https://tasks.example.com"),
        ("snaptask:backupDays", "0"),
        ("snaptask:backupDays", "99"),
        ("snaptask:minInstances", '{"auth": true}'),
        ("snaptask:repository", "tasks"),
        ("snaptask:repository", 'acme/tasks" || true || "'),
        ("snaptask:billingAccount", "my-account"),
        ("snaptask:environment", '{"SMTP_HOST": 1}'),
        ("snaptask:scannerImage", "true"),
        ("snaptask:scannerImage", "europe-docker.pkg.dev/p/r/scanner"),
        ("snaptask:scannerImage", "europe-docker.pkg.dev/p/r/scanner:latest"),
        ("snaptask:scannerImage", "europe-docker.pkg.dev/p/r/scanner:"),
        ("snaptask:scannerImage", "https://europe-docker.pkg.dev/p/r/scanner:1"),
        ("snaptask:scannerImage", "europe-docker.pkg.dev/p/r/scanner@sha256:abc"),
        ("gcp:project", "your project"),
        ("gcp:region", "europe"),
    ],
)
def test_an_unknown_or_malformed_setting_stops_the_program(key: str, value: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(key)):
        read({**DEV, key: value})


@pytest.mark.parametrize(
    "name", ["scanner:f98f09c", "scanner:latest-2", f"scanner@sha256:{'0' * 64}"]
)
def test_an_image_has_a_name_of_its_own(name: str) -> None:
    image = f"europe-docker.pkg.dev/acme-prod/snaptask/{name}"
    assert read({**DEV, "snaptask:scannerImage": image}).scanner_image == image


def test_everything_wrong_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as told:
        read({"snaptask:production": "perhaps", "snaptask:colour": "red"})
    assert str(told.value).count(":") >= 6


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_stack_files_hold_only_settings_that_are_read(stack: str) -> None:
    """Filled in, they are a whole configuration: no placeholder stands where none is needed."""
    config = stack_file(stack)
    assert config["gcp:project"] == f"your-{stack}-project"
    assert read(config).production is (stack == "prod")
    assert all(key.startswith((f"{NAMESPACE}:", "gcp:")) for key in config)


def stack_file(stack: str) -> dict[str, Any]:
    """The little YAML that these files use: `key: value` below `config:`."""
    text = (ROOT / f"Pulumi.{stack}.yaml").read_text()
    lines = re.findall(r"^  ([a-zA-Z:]+): (.+)$", text, re.MULTILINE)
    return {key: value.strip("\"'") for key, value in lines}
