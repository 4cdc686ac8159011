"""Resumable uploads by a ticket of ours: cut and gone on with, lied about, given up meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from shared.events.model import FinalizedObject
from shared.events.outbox import MemoryPublisher, Outbox
from shared.media.api_model import SignedUpload, UploadRequest, UploadTicket
from shared.media.checksums import crc32c_of
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.expiry import UploadExpiry
from shared.media.gallery import Gallery
from shared.media.model import Buckets
from shared.media.pipeline import Pipeline
from shared.media.quota import Quota
from shared.media.signing import URLSigner
from shared.media.store import MediaStore
from shared.media.uploads import Uploads
from tests.emulators.storage.service import KEY, Service, running
from tests.fixtures import http, pictures
from tests.fixtures.api import ADA, Links
from tests.fixtures.scanner import FakeScanner
from tests.fixtures.stores import memory_documents

pytestmark = pytest.mark.emulated

BUCKETS = Buckets("inbox", "media", "renditions")
# Detailed enough to be some units of a session long.
PHOTO = pictures.saved(pictures.photo(900, 900), "PNG")


class KeyFile:
    """signBlob with the emulator's own key."""

    def __init__(self, content: Any) -> None:
        self.email = str(content["client_email"])
        key = serialization.load_pem_private_key(content["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key

    def sign(self, content: bytes) -> bytes:
        return self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())


class Tokens:
    def token(self) -> str:
        return "t"


class World:
    def __init__(self, service: Service) -> None:
        self.service = service
        documents = memory_documents()
        self.store = MediaStore(documents)
        self.objects = CloudStorageObjects("test", service.url, Tokens())
        self.gallery = Gallery(self.store, Links(), renditions_bucket="renditions")
        key = KeyFile(json.loads((service.data.parent / KEY).read_text()))
        self.uploads = Uploads(
            self.gallery,
            Quota(self.store, 10**9),
            URLSigner(key, service.url),
            inbox_bucket="inbox",
            deliver=self._never,
        )
        outbox = Outbox(documents, MemoryPublisher())
        self.pipeline = Pipeline(self.store, self.objects, outbox, BUCKETS, FakeScanner())

    def _never(self, upload: SignedUpload, body: Any) -> None:
        raise AssertionError("no upload goes through the function here")

    def ticket(self, content: bytes = PHOTO) -> UploadTicket:
        wanted = UploadRequest(
            file_name="a.png",
            content_type="image/png",
            size=len(content),
            crc32c=crc32c_of([content]),
            resumable=True,
        )
        return self.uploads.start(ADA, wanted, None, None)

    def session(self, ticket: UploadTicket) -> str:
        assert ticket.resumable is not None
        answer = http.post(ticket.resumable.url, headers=ticket.resumable.headers)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["location"])

    def arrived(self, media_id: str) -> None:
        """The event of what stands in the inbox."""
        blob = self.service.client.bucket("inbox").get_blob(f"uploads/{media_id}")
        assert blob is not None
        self.pipeline(
            FinalizedObject(
                "inbox",
                blob.name,
                int(blob.generation),
                int(blob.size),
                str(blob.content_type),
                str(blob.crc32c),
                blob.metadata["traceparent"],
            )
        )

    def state(self, media_id: str) -> tuple[str, Any]:
        medium = self.store.get(media_id)
        assert medium is not None
        return medium.state, medium.fields.get("reason")

    def names(self, bucket: str) -> list[str]:
        return [blob.name for blob in self.service.client.list_blobs(bucket, versions=True)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("resumable")) as running_service:
        for name in ("inbox", "media", "renditions"):
            running_service.bucket(name, versioning_enabled=name == "media")
        yield running_service


@pytest.fixture
def world(service: Service) -> Iterator[World]:
    made = World(service)
    yield made
    made.objects.close()


def test_an_upload_that_was_cut_half_way_goes_on_and_becomes_ready(world: World) -> None:
    ticket = world.ticket()
    session = world.session(ticket)
    half = len(PHOTO) // 2
    path = f"/inbox/uploads/{ticket.media_id}"
    world.service.fault(kind="cut", method="PUT", path_prefix=path, after_bytes=half)
    with pytest.raises(httpx.TransportError):
        http.put(session, content=PHOTO)
    state = http.put(session, headers={"content-range": f"bytes */{len(PHOTO)}"})
    assert state.status_code == 308
    done = int(state.headers["range"].removeprefix("bytes=0-")) + 1
    assert 0 < done <= half
    rest = {"content-range": f"bytes {done}-{len(PHOTO) - 1}/{len(PHOTO)}"}
    assert http.put(session, content=PHOTO[done:], headers=rest).status_code == 200
    world.arrived(ticket.media_id)
    assert world.state(ticket.media_id) == ("ready", None)
    assert world.store.usage(ADA).used == len(PHOTO)
    assert world.store.usage(ADA).reserved == 0


LIES = [
    (PHOTO[:-4] + b"evil", "checksum-mismatch"),
    (PHOTO + b"more", "size-mismatch"),
    (PHOTO[:-1], "size-mismatch"),
]


@pytest.mark.parametrize(("content", "reason"), LIES, ids=["other", "more", "less"])
def test_a_session_that_takes_other_bytes_is_refused_by_the_pipeline(
    world: World, content: bytes, reason: str
) -> None:
    """The real service may not hold a session to what the URL says; nothing depends on it."""
    ticket = world.ticket()
    assert http.put(world.session(ticket), content=content).status_code == 200
    world.arrived(ticket.media_id)
    assert world.state(ticket.media_id) == ("rejected", reason)
    assert world.store.usage(ADA).taken == 0
    assert [name for name in world.names("inbox") if ticket.media_id in name] == []


def test_the_start_takes_no_other_type_and_no_second_object(world: World) -> None:
    ticket = world.ticket()
    assert ticket.resumable is not None
    url, headers = ticket.resumable.url, ticket.resumable.headers
    for change in ({"content-type": "text/html"}, {"x-goog-meta-evil": "1"}):
        assert http.post(url, headers=headers | change).status_code in (400, 403)
    del (bare := dict(headers))["x-goog-if-generation-match"]
    assert http.post(url, headers=bare).status_code in (400, 403)
    assert http.put(ticket.upload.url, content=PHOTO, headers=ticket.upload.headers).is_success
    assert http.post(url, headers=headers).status_code == 412


def test_what_arrives_over_a_session_of_a_cancelled_upload_deletes_itself(world: World) -> None:
    ticket = world.ticket()
    session = world.session(ticket)
    world.gallery.cancel(ADA, ticket.media_id)
    # The room is held, because these bytes still come.
    assert world.store.usage(ADA).reserved == len(PHOTO)
    assert http.put(session, content=PHOTO).status_code == 200
    world.arrived(ticket.media_id)
    assert world.state(ticket.media_id) == ("deleted", None)
    for bucket in ("inbox", "media", "renditions"):
        assert [name for name in world.names(bucket) if ticket.media_id in name] == []


def test_a_session_brings_its_medium_for_a_day_after_its_ticket_and_nothing_later(
    world: World,
) -> None:
    """As the ticket's contract says. What ended in time is kept, whenever it is looked at."""
    in_time, late = world.ticket(), world.ticket(PHOTO + b"later")
    sessions = [world.session(in_time), world.session(late)]
    assert http.put(sessions[0], content=PHOTO).status_code == 200
    expiry = UploadExpiry(world.store, world.objects, BUCKETS.inbox, lambda: now)
    now = late.upload.expires_at + timedelta(hours=23, minutes=59)
    assert expiry.run() == 0
    now += timedelta(minutes=2)
    assert expiry.run() == 1
    world.arrived(in_time.media_id)
    assert world.state(in_time.media_id) == ("ready", None)
    assert http.put(sessions[1], content=PHOTO + b"later").status_code == 200
    world.arrived(late.media_id)
    assert world.state(late.media_id) == ("rejected", "never-uploaded")
    assert [name for name in world.names("inbox") if late.media_id in name] == []


def test_both_ways_of_one_ticket_make_one_medium(world: World) -> None:
    ticket = world.ticket()
    session = world.session(ticket)
    assert http.put(ticket.upload.url, content=PHOTO, headers=ticket.upload.headers).is_success
    world.arrived(ticket.media_id)
    before = world.store.get(ticket.media_id)
    # The inbox is free again, so the session may still end.
    if http.put(session, content=PHOTO).status_code == 200:
        world.arrived(ticket.media_id)
    assert world.store.get(ticket.media_id) == before
    assert world.store.usage(ADA).used == len(PHOTO)
    assert [name for name in world.names("inbox") if ticket.media_id in name] == []


def test_expiry_is_what_the_ticket_says(world: World) -> None:
    ticket = world.ticket()
    assert ticket.resumable is not None
    assert ticket.resumable.expires_at == ticket.upload.expires_at
    left = ticket.resumable.expires_at - datetime.now(UTC)
    with world.service.clock(left.total_seconds() + 5):
        answer = http.post(ticket.resumable.url, headers=ticket.resumable.headers)
    assert answer.status_code == 400
