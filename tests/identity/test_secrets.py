"""Secret Manager as it answers, refuses, dawdles and goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import grpc
import pytest

from shared.errors import Unavailable
from shared.identity.keys import mac_keys, signing_keys
from shared.secrets import SecretManager
from tests.identity.secret_manager import CREATED, SecretManagerServer, State, serving
from tests.identity.world import HMAC, SIGNING, at_once, pem

# A server on a socket, and clients that wait out their budgets.
pytestmark = pytest.mark.emulated
Code = grpc.StatusCode


@pytest.fixture
def server() -> Iterator[SecretManagerServer]:
    with serving() as running:
        running.versions[HMAC] = [(b"a" * 32, State.ENABLED)]
        running.versions[SIGNING] = [(pem(), State.ENABLED)]
        yield running


@pytest.fixture
def secrets(
    server: SecretManagerServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SecretManager]:
    monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", server.address)
    manager = SecretManager()
    yield manager
    manager.close()


def test_making_one_calls_nobody(server: SecretManagerServer, secrets: SecretManager) -> None:
    mac_keys(secrets, HMAC)
    signing_keys(secrets, SIGNING)
    assert server.calls == []


def test_versions_come_newest_first_and_only_the_enabled_ones(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    server.versions[HMAC] = [
        (b"1", State.ENABLED),
        (b"2", State.DISABLED),
        (b"3", State.ENABLED),
        (b"", State.DESTROYED),
    ]
    found = secrets.versions(HMAC)
    assert [(one.number, secrets.access(one.name)) for one in found] == [(3, b"3"), (1, b"1")]
    assert found[0].created == CREATED + timedelta(seconds=3)
    assert server.routing[0] == "parent=projects%2Fp%2Fsecrets%2Ftoken-hmac"
    assert server.routing[1] == "name=projects%2F123456789%2Fsecrets%2Ftoken-hmac%2Fversions%2F3"


def test_versions_on_later_pages_are_found(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    server.page = 2
    server.versions[HMAC] = [(b"x", State.ENABLED)] * 5
    assert [one.number for one in secrets.versions(HMAC)] == [5, 4, 3, 2, 1]
    assert server.calls == ["list"] * 3


def test_a_version_disabled_between_two_calls_is_none(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    (version,) = secrets.versions(HMAC)
    server.versions[HMAC] = [(b"", State.DISABLED)]
    assert secrets.access(version.name) is None
    server.faults = [Code.NOT_FOUND]
    assert secrets.access(version.name) is None


def test_a_missing_secret_is_unavailable_and_asked_for_once(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    with pytest.raises(Unavailable):
        secrets.versions("projects/p/secrets/other")
    assert server.calls == ["list"]


@pytest.mark.parametrize("code", [Code.PERMISSION_DENIED, Code.UNAUTHENTICATED])
def test_a_missing_grant_is_told_in_the_log_and_not_asked_again(
    server: SecretManagerServer,
    secrets: SecretManager,
    code: grpc.StatusCode,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.faults = [code]
    with pytest.raises(Unavailable):
        secrets.versions(HMAC)
    assert server.calls == ["list"]
    assert HMAC in caplog.text
    assert code.name in caplog.text


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.INTERNAL, Code.RESOURCE_EXHAUSTED])
def test_a_passing_failure_is_passed_over(
    server: SecretManagerServer, secrets: SecretManager, code: grpc.StatusCode
) -> None:
    server.faults = [code, code]
    assert len(secrets.versions(HMAC)) == 1
    assert server.calls == ["list"] * 3


def test_an_answer_that_does_not_come_is_asked_for_again(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    server.faults = ["slow"]
    assert len(secrets.versions(HMAC)) == 1
    assert server.calls == ["list"] * 2


def test_a_service_that_never_answers_ends_in_unavailable(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    server.faults = ["slow"] * 100
    with pytest.raises(Unavailable):
        secrets.versions(HMAC)
    # Two whole tries and a part of one fit into the budget.
    assert len(server.calls) <= 3


def test_an_outage_ends_for_us_when_it_ends(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    server.stop()
    with pytest.raises(Unavailable):
        secrets.versions(HMAC)
    server.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert len(secrets.versions(HMAC)) == 1
            return
        except Unavailable:
            continue
    pytest.fail("the old channel did not find the service again")


def test_keys_are_read_over_the_wire_once_for_many_threads(
    server: SecretManagerServer, secrets: SecretManager
) -> None:
    macs, signing = mac_keys(secrets, HMAC), signing_keys(secrets, SIGNING)
    at_once(16, lambda _: (macs.current_id(), signing.current().kid))
    assert sorted(server.calls) == ["access", "access", "list", "list"]
    assert len(signing.jwks()) == 1
