"""From a finalized upload to a ready medium: what must come out, and what must never."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from shared.documents import DocumentStore
from shared.errors import Unavailable
from shared.media.gallery import Gallery
from shared.media.model import inbox_name
from tests.fixtures import pictures
from tests.fixtures.api import ADA, Links
from tests.fixtures.scanner import EVIL
from tests.fixtures.stores import documents as documents
from tests.media.world import NOON, PHOTO, MediaWorld

ARRIVED = "snaptask.media.v1.arrived"
READY = "snaptask.media.v1.ready"
REJECTED = "snaptask.media.v1.rejected"


@pytest.fixture
def world(documents: DocumentStore) -> MediaWorld:
    return MediaWorld(documents)


def gallery(world: MediaWorld) -> Gallery:
    return Gallery(world.store, Links(), renditions_bucket="renditions", clock=lambda: NOON)


def test_a_photograph_becomes_ready_with_three_renditions(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    medium = world.medium(media_id)
    assert (medium.state, medium.fields["width"], medium.fields["height"]) == ("ready", 400, 300)
    assert [one["size"] for one in medium.fields["renditions"]] == [320, 640, 1280]
    assert world.names("inbox") == []
    assert world.names("media") == [medium.media_name]
    assert world.names("renditions") == sorted(
        medium.rendition_name(size) for size in (320, 640, 1280)
    )
    assert world.told() == [ARRIVED, READY]
    assert world.documents.query("outbox") == []


def test_the_promoted_bytes_are_the_uploaded_ones_under_the_type_of_the_content(
    world: MediaWorld,
) -> None:
    medium = world.medium(world.upload(PHOTO))
    _, content, kind = world.objects.objects["media", medium.media_name]
    assert (content, kind) == (PHOTO, "image/jpeg")


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.jpg", PHOTO)
    return file.getvalue()


BAD: dict[str, tuple[bytes, str, dict[str, Any], str]] = {
    "a larger size than announced": (PHOTO, "image/jpeg", {"size": 5}, "size-mismatch"),
    "another checksum": (PHOTO, "image/jpeg", {"crc32c": "AAAAAA=="}, "checksum-mismatch"),
    "another picture type": (PHOTO, "image/png", {}, "type-mismatch"),
    "a JPEG cut short": (PHOTO[: len(PHOTO) // 2], "image/jpeg", {}, "truncated"),
    "a JPEG without its end": (PHOTO[:-2], "image/jpeg", {}, "truncated"),
    "a bomb": (pictures.bomb_png(), "image/png", {}, "too-many-pixels"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png", {}, "unknown-type"),
    "HTML": (b"<!doctype html><script>1</script>", "image/jpeg", {}, "unknown-type"),
    "zip": (zipped(), "image/jpeg", {}, "archive"),
    "a picture that is a zip as well": (PHOTO + zipped(), "image/jpeg", {}, "archive"),
    "a virus": (PHOTO + EVIL, "image/jpeg", {}, "infected"),
    "a virus in a text": (EVIL, "text/plain", {}, "infected"),
    "more than the scanner takes": (b"a" * 10_000_001, "text/plain", {}, "scan-limit"),
    "a PDF without its end": (b"%PDF-1.7\n1 0 obj", "application/pdf", {}, "truncated"),
    "a page that says it is a text": (b"<p>hi", "text/plain", {}, "unknown-type"),
    "nothing at all": (b"\0" * 64, "image/gif", {}, "unknown-type"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_as_announced_is_rejected_and_leaves_nothing(
    world: MediaWorld, name: str
) -> None:
    content, kind, changes, reason = BAD[name]
    medium = world.medium(world.upload(content, kind, **changes))
    assert (medium.state, medium.fields["reason"]) == ("rejected", reason)
    assert world.objects.objects == {}
    arrived = [] if reason == "size-mismatch" else [ARRIVED]
    assert world.told() == [*arrived, REJECTED]


def test_a_lying_size_is_rejected_before_a_byte_is_read(world: MediaWorld) -> None:
    calls: list[str] = []
    world.watch = calls.append
    world.upload(PHOTO, size=len(PHOTO) + 1)
    assert "read" not in calls


@pytest.mark.parametrize(
    "name", ["uploads/" + "a" * 20, "uploads/..", "uploads/", "x", "uploads/a/b", "\n", "ü"]
)
def test_an_object_that_nobody_announced_is_deleted(world: MediaWorld, name: str) -> None:
    event = world.put("b" * 20, PHOTO)
    generation = world.objects.put("inbox", name, PHOTO, "image/jpeg")
    world.pipeline(replace(event, name=name, generation=generation))
    assert world.names("inbox") == [inbox_name("b" * 20)]
    assert world.told() == []


def test_an_event_of_another_bucket_is_left_alone(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.objects.put("media", event.name, PHOTO, "image/jpeg")
    world.pipeline(replace(event, bucket="media"))
    assert world.medium(media_id).state == "pending"
    assert world.names("media") == [event.name]


def test_an_object_replaced_meanwhile_never_takes_the_first_ones_place(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    first = world.put(media_id, PHOTO)
    evil = PHOTO[:-2] + b"\0\0"
    second = world.put(media_id, evil)
    world.pipeline(first)
    assert world.medium(media_id).state == "pending"
    world.pipeline(second)
    assert world.medium(media_id).state == "rejected"
    assert world.objects.objects == {}


def test_a_swap_between_check_and_promotion_promotes_nothing(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)

    def swap(name: str) -> None:
        if name == "copy":
            world.watch = lambda _: None
            world.put(media_id, b"evil")

    world.watch = swap
    world.pipeline(event)
    assert world.names("media") == []
    assert world.medium(media_id).state == "scanning"
    assert world.scanner.seen == [PHOTO]


def test_what_arrives_after_the_upload_was_given_up_deletes_itself(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    gallery(world).cancel(ADA, media_id)
    world.pipeline(world.put(media_id, PHOTO))
    assert world.objects.objects == {}
    assert world.medium(media_id).state == "deleted"


def test_giving_up_while_the_picture_is_being_made_leaves_nothing(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)

    def cancel(name: str) -> None:
        if name == "after write":
            world.watch = lambda _: None
            gallery(world).delete(ADA, media_id)

    world.watch = cancel
    world.pipeline(event)
    assert world.medium(media_id).state == "deleted"
    assert world.objects.objects == {}


def test_a_second_object_under_a_settled_name_changes_nothing(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    before = world.state()
    world.pipeline(world.put(media_id, PHOTO))
    world.pipeline(world.put(media_id, b"evil"))
    assert world.state() == before


def test_a_delivery_that_finds_its_object_gone_changes_nothing(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.objects.discard("inbox", event.name)
    world.pipeline(event)
    assert world.medium(media_id).state == "pending"
    assert world.told() == []


def test_ten_deliveries_at_once_are_one_event(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(world.pipeline, [event] * 10))
    medium = world.medium(media_id)
    assert medium.state == "ready"
    assert world.told() == [ARRIVED, READY]
    assert world.names("media") == [medium.media_name]
    assert len(world.names("renditions")) == 3
    assert world.names("inbox") == []


def test_a_topic_out_of_reach_costs_only_time(world: MediaWorld) -> None:
    world.publisher.broken = True
    media_id = world.upload(PHOTO)
    assert world.medium(media_id).state == "ready"
    assert world.told() == []
    world.publisher.broken = False
    assert world.outbox.sweep() == 2
    assert world.told() == [ARRIVED, READY]


def test_storage_out_of_reach_is_told_to_the_platform(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)

    def fail(name: str) -> None:
        if name == "read":
            raise Unavailable

    world.watch = fail
    with pytest.raises(Unavailable):
        world.pipeline(event)
    world.watch = lambda _: None
    world.pipeline(event)
    assert world.medium(media_id).state == "ready"


def test_a_fault_of_ours_rejects_nobodys_picture(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def burst(*_: object, **__: object) -> None:
        raise MemoryError

    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    monkeypatch.setattr("shared.media.pipeline.make", burst)
    with pytest.raises(MemoryError):
        world.pipeline(event)
    assert world.medium(media_id).state == "scanning"
    assert world.names("inbox") == [event.name]
