"""Adding, disabling and destroying versions: in memory and over Secret Manager's own API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import grpc
import pytest
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service import transports

from shared.errors import Unavailable
from shared.identity.keys import mac_keys, signing_keys
from shared.identity.rotation import KeyRotation, mac_policy, signing_policy
from shared.secrets import MemorySecrets, SecretManager, Secrets, SecretVersions
from tests.emulators.platform.service import running
from tests.identity.secret_manager import serving
from tests.identity.world import Clock, at_once

PROJECT = "snaptask-test"
NAMES = ("signing-key", "token-hmac")


class Both(Secrets, SecretVersions, Protocol):
    pass


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("platform"), "127.0.0.1:9", PROJECT) as platform:
        yield platform.secrets


@pytest.fixture(params=["memory", pytest.param("service", marks=pytest.mark.emulated)])
def secrets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """Two secrets without versions."""
    if request.param == "memory":
        yield MemorySecrets()
        return
    address: str = request.getfixturevalue("platform")
    with grpc.insecure_channel(address) as channel:
        transport = transports.SecretManagerServiceGrpcTransport(channel=channel)
        client = SecretManagerServiceClient(transport=transport)
        for name in NAMES:
            client.create_secret(
                parent=f"projects/{PROJECT}",
                secret_id=name,
                secret={"replication": {"automatic": {}}},
            )
        monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", address)
        manager = SecretManager()
        yield manager
        manager.close()
        for name in NAMES:
            client.delete_secret(name=secret(name))


def secret(name: str = "token-hmac") -> str:
    return f"projects/{PROJECT}/secrets/{name}"


def test_versions_are_numbered_and_only_the_enabled_ones_are_read(secrets: Both) -> None:
    before = datetime.now(UTC)
    made = [secrets.add(secret(), bytes([number])) for number in range(4)]
    assert [one.number for one in made] == [1, 2, 3, 4]
    assert all(abs(one.created - before) < timedelta(minutes=1) for one in made)
    secrets.disable(made[0])
    secrets.destroy(made[1])
    states = [(one.number, one.state) for one in secrets.history(secret())]
    assert states == [(4, "enabled"), (3, "enabled"), (2, "destroyed"), (1, "disabled")]
    assert [one.number for one in secrets.versions(secret())] == [4, 3]
    assert [secrets.access(one.name) for one in made] == [None, None, b"\x02", b"\x03"]


def test_what_is_done_twice_is_no_error(secrets: Both) -> None:
    (version,) = [secrets.add(secret(), b"x")]
    for change in (secrets.disable, secrets.disable, secrets.destroy, secrets.destroy):
        change(version)
    assert [one.state for one in secrets.history(secret())] == ["destroyed"]
    assert secrets.add(secret(), b"y").number == 2


def test_a_rotation_makes_keys_that_work(secrets: Both) -> None:
    clock = Clock(datetime.now(UTC))
    policies = [
        signing_policy(secret("signing-key")),
        mac_policy(secret("token-hmac"), lambda number: True),
    ]
    rotation = KeyRotation(secrets, policies, clock)
    at_once(3, lambda _: rotation.run())
    assert len(secrets.versions(secret("signing-key"))) == 1
    # As the service numbers them by its own clock, the old one is as new as the test.
    clock.now += timedelta(days=95)
    rotation.run()
    states = [
        one.state for one in secrets.history(secret("token-hmac")) if one.state != "destroyed"
    ]
    assert states == ["enabled", "enabled"]
    signing, macs = signing_keys(secrets, secret("signing-key")), mac_keys(secrets, secret())
    assert len(signing.jwks()) == 2
    assert len(macs.all_macs("address", "x")) == 2


@pytest.mark.emulated
@pytest.mark.parametrize("fault", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
def test_a_version_is_added_by_one_try(
    monkeypatch: pytest.MonkeyPatch, fault: grpc.StatusCode
) -> None:
    """Its reply may be lost; a second try would be a second version."""
    with serving() as server:
        server.versions[secret()] = []
        monkeypatch.setenv("SECRET_MANAGER_EMULATOR_HOST", server.address)
        manager = SecretManager()
        server.faults = [fault]
        with pytest.raises(Unavailable):
            manager.add(secret(), b"x")
        assert server.calls == ["add"]
        assert manager.add(secret(), b"x").number == 1
        manager.close()
