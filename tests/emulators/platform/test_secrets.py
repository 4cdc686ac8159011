"""Secret Manager as the official client sees it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import google_crc32c
import grpc
import pytest
from google.api_core import exceptions
from google.cloud.secretmanager_v1 import SecretManagerServiceClient, types
from google.cloud.secretmanager_v1.services.secret_manager_service import transports

from tests.emulators.platform.conftest import PROJECT
from tests.emulators.platform.service import Platform, running

pytestmark = pytest.mark.emulated
PARENT = f"projects/{PROJECT}"
State = types.SecretVersion.State


@contextmanager
def connected(address: str) -> Iterator[SecretManagerServiceClient]:
    with grpc.insecure_channel(address) as channel:
        transport = transports.SecretManagerServiceGrpcTransport(channel=channel)
        yield SecretManagerServiceClient(transport=transport)


@pytest.fixture
def client(platform: Platform) -> Iterator[SecretManagerServiceClient]:
    with connected(platform.secrets) as client:
        yield client


def create(client: SecretManagerServiceClient, name: str | None = None) -> str:
    secret = client.create_secret(
        parent=PARENT,
        secret_id=name or f"s-{uuid4().hex}",
        secret={"replication": {"automatic": {}}, "labels": {"kind": "test"}},
    )
    return str(secret.name)


def add(client: SecretManagerServiceClient, secret: str, data: bytes) -> str:
    return str(client.add_secret_version(parent=secret, payload={"data": data}).name)


def read(client: SecretManagerServiceClient, version: str) -> bytes:
    payload = client.access_secret_version(name=version).payload
    assert payload.data_crc32c == google_crc32c.value(payload.data)
    return bytes(payload.data)


def test_a_secrets_versions_are_read_by_number_and_as_latest(
    client: SecretManagerServiceClient,
) -> None:
    secret = create(client)
    assert add(client, secret, b"one") == f"{secret}/versions/1"
    assert add(client, secret, b"\x00\xfftwo") == f"{secret}/versions/2"
    assert read(client, f"{secret}/versions/1") == b"one"
    answer = client.access_secret_version(name=f"{secret}/versions/latest")
    assert (answer.name, answer.payload.data) == (f"{secret}/versions/2", b"\x00\xfftwo")
    shown = client.get_secret(name=secret)
    assert dict(shown.labels) == {"kind": "test"}
    assert shown.create_time
    listed = [v.name for v in client.list_secret_versions(parent=secret)]
    assert listed == [f"{secret}/versions/2", f"{secret}/versions/1"]


def test_a_disabled_version_comes_back_and_a_destroyed_one_does_not(
    client: SecretManagerServiceClient,
) -> None:
    version = add(client, create(client), b"one")
    assert client.disable_secret_version(name=version).state == State.DISABLED
    with pytest.raises(exceptions.FailedPrecondition):
        read(client, version)
    assert client.enable_secret_version(name=version).state == State.ENABLED
    assert read(client, version) == b"one"
    destroyed = client.destroy_secret_version(name=version)
    assert (destroyed.state, bool(destroyed.destroy_time)) == (State.DESTROYED, True)
    for call in (client.access_secret_version, client.enable_secret_version):
        with pytest.raises(exceptions.FailedPrecondition):
            call(name=version)
    assert client.get_secret_version(name=version).state == State.DESTROYED


def test_latest_does_not_fall_back_to_an_older_version(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    add(client, secret, b"one")
    client.disable_secret_version(name=add(client, secret, b"two"))
    with pytest.raises(exceptions.FailedPrecondition):
        read(client, f"{secret}/versions/latest")


def test_what_is_not_there_is_not_found(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    missing = f"{PARENT}/secrets/missing"
    with pytest.raises(exceptions.NotFound):
        client.get_secret(name=missing)
    with pytest.raises(exceptions.NotFound):
        client.add_secret_version(parent=missing, payload={"data": b"x"})
    for version in ("latest", "1", "999999999999"):
        with pytest.raises(exceptions.NotFound):
            read(client, f"{secret}/versions/{version}")
    client.delete_secret(name=secret)
    with pytest.raises(exceptions.NotFound):
        client.delete_secret(name=secret)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "é", "x" * 256, "a\n"])
def test_a_name_outside_the_pattern_is_refused(
    client: SecretManagerServiceClient, name: str
) -> None:
    with pytest.raises(exceptions.InvalidArgument):
        client.create_secret(
            parent=PARENT, secret_id=name, secret={"replication": {"automatic": {}}}
        )
    with pytest.raises(exceptions.InvalidArgument):
        client.get_secret(name=f"{PARENT}/secrets/{name}")


@pytest.mark.parametrize("version", ["0", "-1", "01", "newest", "1/..", "1\n", "9" * 40])
def test_a_version_outside_the_pattern_is_refused(
    client: SecretManagerServiceClient, version: str
) -> None:
    secret = create(client)
    add(client, secret, b"x")
    with pytest.raises(exceptions.InvalidArgument):
        client.access_secret_version(name=f"{secret}/versions/{version}")


def test_another_projects_secrets_are_out_of_reach(client: SecretManagerServiceClient) -> None:
    with pytest.raises(exceptions.PermissionDenied):
        client.get_secret(name="projects/other/secrets/a")
    with pytest.raises(exceptions.PermissionDenied):
        list(client.list_secrets(parent="projects/other"))


def test_a_payload_is_checked_before_it_is_kept(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    good = google_crc32c.value(b"data")
    for payload in (
        {"data": b"data", "data_crc32c": good + 1},
        {"data": b"dat", "data_crc32c": good},
        {"data": b"data", "data_crc32c": 0},
        {"data": b""},
        {"data": b"x" * (64 * 1024 + 1)},
    ):
        with pytest.raises(exceptions.InvalidArgument):
            client.add_secret_version(parent=secret, payload=payload)
    assert list(client.list_secret_versions(parent=secret)) == []
    client.add_secret_version(parent=secret, payload={"data": b"data", "data_crc32c": good})
    add(client, secret, b"x" * (64 * 1024))


def test_a_secret_is_made_once_and_needs_a_replication(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    add(client, secret, b"x")
    with pytest.raises(exceptions.AlreadyExists):
        create(client, secret.rpartition("/")[2])
    assert read(client, f"{secret}/versions/1") == b"x"
    with pytest.raises(exceptions.InvalidArgument):
        client.create_secret(parent=PARENT, secret_id=f"s-{uuid4().hex}", secret={})


def test_a_stale_etag_changes_nothing(client: SecretManagerServiceClient) -> None:
    version = add(client, create(client), b"x")
    etag = client.get_secret_version(name=version).etag
    client.disable_secret_version(request={"name": version, "etag": etag})
    with pytest.raises(exceptions.FailedPrecondition):
        client.destroy_secret_version(request={"name": version, "etag": etag})
    assert client.get_secret_version(name=version).state == State.DISABLED


def test_lists_come_in_pages(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    for number in range(5):
        add(client, secret, b"%d" % number)
    pages = client.list_secret_versions(request={"parent": secret, "page_size": 2}).pages
    assert [len(page.versions) for page in pages] == [2, 2, 1]
    names = {one.name for one in client.list_secrets(request={"parent": PARENT, "page_size": 1})}
    assert secret in names
    with pytest.raises(exceptions.MethodNotImplemented):
        list(client.list_secrets(request={"parent": PARENT, "filter": "name:x"}))


def test_versions_added_at_once_all_get_a_number(client: SecretManagerServiceClient) -> None:
    secret = create(client)
    contents = [b"content %d" % number for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        names = list(threads.map(lambda data: add(client, secret, data), contents))
    assert len(set(names)) == 24
    assert [read(client, name) for name in names] == contents


def test_what_the_disk_refuses_is_not_there(tmp_path: Path) -> None:
    with (
        running(tmp_path, "127.0.0.1:9", PROJECT) as platform,
        connected(platform.secrets) as client,
    ):
        secret = create(client)
        add(client, secret, b"kept")
        in_the_way = tmp_path / ".secrets.json.part"
        in_the_way.mkdir()
        with pytest.raises(exceptions.Unknown):
            add(client, secret, b"refused")
        assert read(client, f"{secret}/versions/latest") == b"kept"
        in_the_way.rmdir()
        assert add(client, secret, b"next") == f"{secret}/versions/2"


def test_a_kill_loses_no_acknowledged_secret(tmp_path: Path) -> None:
    with (
        running(tmp_path, "127.0.0.1:9", PROJECT) as platform,
        connected(platform.secrets) as client,
    ):
        secret = create(client, "signing-key")
        add(client, secret, b"first")
        platform.http.close()
        with ThreadPoolExecutor(4) as threads:
            writes = [threads.submit(add, client, secret, b"%d" % n) for n in range(200)]
            # In the middle of the writes.
            writes[20].result()
            platform.kill()
        written = [(w.result(), n) for n, w in enumerate(writes) if w.exception() is None]
        # Those sent beside the twentieth may have been cut off.
        assert 16 < len(written) < 200
    kept = tmp_path / "secrets.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with running(tmp_path, "127.0.0.1:9", PROJECT) as again, connected(again.secrets) as client:
        assert read(client, f"{secret}/versions/1") == b"first"
        for name, number in written:
            assert read(client, name) == b"%d" % number
