"""The scan service as a process, in front of the real clamd, with the pipeline behind its client.

It runs as its image runs it (functions-framework, gunicorn), reads the strict storage emulator,
and stands behind a front that checks callers as Cloud Run does.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from emulators import scanner as local
from emulators.platform.identity import Identity
from shared.access_token import MetadataIDTokens
from shared.documents import MemoryDocuments
from shared.errors import ProductError, Unavailable
from shared.events.sender import PlatformSender
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.model import Buckets
from shared.media.objects import ObjectVersion
from shared.media.outline import Rejected
from shared.media.pipeline import Pipeline
from shared.media.scan import scanner
from shared.media.scan_client import ScanService
from tests.emulators.storage.service import Service, running
from tests.fixtures import http
from tests.fixtures.emulated import free_port
from tests.fixtures.processes import Process, Unchecked, metadata_server, serves, until
from tests.fixtures.sources import ROOT
from tests.fixtures.web import Answer, Asked, Web, as_json, serving
from tests.media.test_scan import pongs
from tests.media.world import NOON, PHOTO, MediaWorld

pytestmark = [
    pytest.mark.emulated,
    pytest.mark.skipif(
        local.find() is None,
        reason="no clamd on this machine; `python -m tools.scanner` installs it on Debian",
    ),
]
EICAR = local.EICAR
MIB = 1024 * 1024
ACCOUNT = "thumbnails@test.iam.gserviceaccount.com"


@dataclass
class World:
    storage: Service
    clamd: Process
    service: Process
    url: str
    inbox: str
    other: str
    client: ScanService

    def put(self, content: bytes, bucket: str = "", name: str = "") -> ObjectVersion:
        bucket, name = bucket or self.inbox, name or f"uploads/{secrets.token_hex(4)}"
        blob = self.storage.client.bucket(bucket).blob(name)
        blob.upload_from_string(content)
        return ObjectVersion(bucket, name, int(blob.generation))

    def said(self, content: bytes) -> str:
        return self.verdict(self.put(content), content)

    def verdict(self, upload: ObjectVersion, content: bytes) -> str:
        try:
            return self.client.scan(upload, content)
        except Rejected as rejection:
            return rejection.reason

    def ask(self, upload: ObjectVersion) -> Any:
        look = {
            "bucket": upload.bucket,
            "object": upload.name,
            "generation": str(upload.generation),
        }
        return http.post(self.url, json=look)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("scan-service")
    with running(folder / "storage") as storage, metadata_server() as metadata:
        inbox, other = (f"{kind}-{secrets.token_hex(4)}" for kind in ("inbox", "media"))
        for name in (inbox, other):
            storage.bucket(name)
        clamd = _clamd(folder)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        service = Process(
            [sys.executable, "-m", "functions_framework", "--host=127.0.0.1", f"--port={port}"],
            {
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT),
                "FUNCTION_SOURCE": str(ROOT / "services" / "scanner" / "main.py"),
                "FUNCTION_TARGET": "scanner",
                "THREADS": "6",
                "ENVIRONMENT": "local",
                "GOOGLE_CLOUD_PROJECT": "test",
                "CLAMD": f"127.0.0.1:{clamd[1]}",
                "INBOX_BUCKET": inbox,
                "STORAGE_ENDPOINT": storage.url,
                "GCE_METADATA_HOST": metadata.host,
            },
            folder / "service.log",
            lambda: serves(url),
        )
        made = ScanService(url, Unchecked())
        try:
            yield World(storage, clamd[0], service, url, inbox, other, made)
        finally:
            made._http.close()
            service.end()
            clamd[0].end()


def _clamd(folder: Path) -> tuple[Process, int]:
    port = free_port()
    command = local.command(port, folder / "clamd")
    return Process(command, {**os.environ}, folder / "clamd.log", lambda: pongs(port)), port


@pytest.mark.parametrize("content", [b"", b"hello", PHOTO, b"\0" * 50 * MIB], ids=len)
def test_a_harmless_upload_passes_by_the_engines_name(world: World, content: bytes) -> None:
    assert world.said(content).startswith("ClamAV ")


@pytest.mark.parametrize(
    "content",
    [EICAR, PHOTO + EICAR, b"\0" * (50 * MIB - len(EICAR)) + EICAR],
    ids=["alone", "behind a picture", "at the end of the largest upload"],
)
def test_the_test_virus_is_found(world: World, content: bytes) -> None:
    assert world.said(content) == "infected"


def test_over_the_limit_is_refused_and_never_passed(world: World) -> None:
    upload = world.put(b"\0" * (local.STREAM_MAX + 10 * MIB))
    answer = world.ask(upload).json()
    assert (answer["verdict"], answer["crc32c"]) == ("scan-limit", None)


def test_only_the_generation_that_was_named_is_scanned(world: World) -> None:
    first = world.put(PHOTO)
    evil = world.put(EICAR, name=first.name)
    assert world.ask(first).json()["verdict"] == "gone"
    with pytest.raises(Unavailable):
        world.client.scan(first, PHOTO)
    # Who names the generation of other bytes than he holds gets no verdict on his.
    with pytest.raises(Unavailable, match="other bytes"):
        world.client.scan(evil, PHOTO)
    assert world.verdict(evil, EICAR) == "infected"


def test_of_another_bucket_nothing_is_read(world: World) -> None:
    private = world.put(EICAR, bucket=world.other)
    answer = world.ask(private)
    assert answer.status_code == 404
    assert "verdict" not in answer.text
    with pytest.raises(Unavailable):
        world.client.scan(private, EICAR)
    assert world.ask(replace(private, bucket="no-such-bucket")).status_code == 404


def test_without_clamd_nothing_passes_until_it_is_back(world: World) -> None:
    upload = world.put(EICAR)
    world.clamd.kill()
    try:
        with pytest.raises(Unavailable):
            world.client.scan(upload, EICAR)
    finally:
        world.clamd.start()
    assert world.verdict(upload, EICAR) == "infected"


def test_storage_that_lets_nobody_read_is_no_verdict(world: World) -> None:
    content = b"\0" * 20 * MIB + EICAR
    upload = world.put(content)
    path = f"/download/storage/v1/b/{world.inbox}/o/"
    for _ in range(40):
        world.storage.fault(kind="status", method="GET", path_prefix=path, status=403)
    try:
        with pytest.raises(Unavailable):
            world.client.scan(upload, content)
    finally:
        kind = {"content-type": "application/json"}
        world.storage.http.request("DELETE", f"{world.storage.url}/_emulator/faults", headers=kind)
    assert world.verdict(upload, content) == "infected"


def test_a_service_that_is_killed_in_mid_scan_leaves_no_verdict(world: World) -> None:
    """clamd is stopped so that the scan is surely under way when the service dies."""
    upload = world.put(EICAR)
    clamd = psutil.Process(world.clamd.process.pid)
    clamd.suspend()
    failed: list[ProductError] = []

    def scan() -> None:
        try:
            world.client.scan(upload, EICAR)
        except ProductError as error:
            failed.append(error)

    thread = threading.Thread(target=scan)
    thread.start()
    try:
        worker = psutil.Process(world.service.process.pid)
        until(lambda: _speaks_to(worker, world.clamd))
        world.service.kill()
        thread.join(30)
    finally:
        clamd.resume()
        world.service.end()
        world.service.start()
    assert [type(one) for one in failed] == [Unavailable]
    assert world.verdict(upload, EICAR) == "infected"


def _speaks_to(service: psutil.Process, clamd: Process) -> bool:
    listening = {
        one.laddr.port
        for one in psutil.Process(clamd.process.pid).net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }
    return any(
        one.raddr and one.raddr.port in listening
        for process in service.children(recursive=True)
        for one in process.net_connections("tcp")
    )


def test_many_at_once_get_each_its_own_verdict(world: World) -> None:
    """Four, as Cloud Run sends to one instance."""
    found: dict[int, str] = {}
    contents = [EICAR if number % 2 else PHOTO for number in range(4)]
    uploads = [world.put(content) for content in contents]

    def scan(number: int) -> None:
        found[number] = world.ask(uploads[number]).json()["verdict"]

    threads = [threading.Thread(target=scan, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [found[number] for number in range(4)] == ["clean", "infected"] * 2


# The pipeline through it


def media_world(world: World, client: Any) -> tuple[MediaWorld, Callable[[str, bytes], Any]]:
    """The pipeline over documents in memory and buckets in the emulator."""
    made = MediaWorld(MemoryDocuments())
    objects = CloudStorageObjects("test", world.storage.url, Unchecked())
    renditions = f"renditions-{secrets.token_hex(4)}"
    world.storage.bucket(renditions)
    buckets = Buckets(world.inbox, world.other, renditions)
    made.pipeline = Pipeline(made.store, objects, made.outbox, buckets, client, lambda: NOON)

    def put(media_id: str, content: bytes) -> Any:
        upload = world.put(content, name=f"uploads/{media_id}")
        event = made.put(media_id, content)
        return replace(event, bucket=world.inbox, generation=upload.generation)

    return made, put


def test_the_test_virus_is_rejected_and_a_picture_is_ready_all_the_way(world: World) -> None:
    made, put = media_world(world, world.client)
    evil = PHOTO + EICAR
    states = {}
    for content in (PHOTO, evil):
        media_id = made.announce(content)
        made.pipeline(put(media_id, content))
        fields = made.medium(media_id).fields
        states[content] = (fields["state"], fields.get("reason"), fields.get("scannedBy"))
    assert states[PHOTO][0] == "ready"
    assert str(states[PHOTO][2]).startswith("ClamAV ")
    assert states[evil][:2] == ("rejected", "infected")


def test_while_the_service_is_away_a_medium_stays_scanning_and_recovers(world: World) -> None:
    made, put = media_world(world, world.client)
    content = PHOTO + b"once"
    media_id = made.announce(content)
    event = put(media_id, content)
    world.service.kill()
    try:
        with pytest.raises(Unavailable):
            made.pipeline(event)
        assert made.medium(media_id).state == "scanning"
    finally:
        world.service.start()
    made.pipeline(event)
    assert made.medium(media_id).state == "ready"


# Who may call: as Cloud Run asks before the service sees a request


@contextmanager
def cloud_run(world: World, folder: Path) -> Iterator[tuple[Web, Identity, Web]]:
    """A front that lets one account in, that account's metadata server, and its issuer."""
    identity = Identity(folder, "test", ["thumbnails", "media"])

    def certificates(_: Asked) -> Answer:
        return as_json({"keys": identity.issuer_keys()})

    def front(asked: Asked) -> Answer:
        scheme, _, token = asked.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return Answer(403, b"<html>")
        try:
            sender.check(token)
        except ProductError:
            return Answer(401, b"<html>")
        answer = http.post(world.url, content=asked.body, headers={**asked.headers})
        return Answer(answer.status_code, answer.content)

    with serving(certificates) as issuer, serving(front) as web:
        sender = PlatformSender(issuer.url, web.url, ACCOUNT)

        def metadata(asked: Asked) -> Answer:
            account, audience = asked.path.split("/")[2], httpx.URL(asked.path).params["audience"]
            return Answer(200, identity.id_token(identity.email_of(account), audience).encode())

        with serving(metadata) as server:
            yield web, identity, server


def test_the_functions_own_token_for_the_service_opens_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cloud_run(world, tmp_path) as (front, _, metadata):
        monkeypatch.setenv("GCE_METADATA_HOST", f"{metadata.host}/as/thumbnails")
        client = scanner(front.url)
        upload = world.put(PHOTO)
        assert str(client.scan(upload, PHOTO)).startswith("ClamAV ")


def test_a_token_of_another_account_or_for_another_service_is_an_outage(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    upload = world.put(PHOTO)
    with cloud_run(world, tmp_path) as (front, _, metadata):
        wrong = {"media": front.url, "thumbnails": "https://other-abc.a.run.app"}
        for account, audience in wrong.items():
            monkeypatch.setenv("GCE_METADATA_HOST", f"{metadata.host}/as/{account}")
            caplog.clear()
            with pytest.raises(Unavailable):
                ScanService(front.url, MetadataIDTokens(audience)).scan(upload, PHOTO)
            assert "may it invoke the service?" in caplog.text
