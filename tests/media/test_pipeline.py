"""From a finalized upload to a ready medium: what must come out, and what must never."""

from __future__ import annotations

import hashlib
import io
import itertools
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from shared.documents import DocumentStore
from shared.errors import Conflict, NotFound, Unavailable
from shared.events.model import FinalizedObject
from shared.media import renditions
from shared.media.api_model import MediaFilter
from shared.media.gallery import Gallery
from shared.media.model import inbox_name
from shared.media.scan import NoScanner
from tests.fixtures import pictures
from tests.fixtures.api import ADA, Links
from tests.fixtures.scanner import EVIL
from tests.fixtures.stores import documents as documents
from tests.fixtures.stores import memory_documents
from tests.media.world import NOON, PHOTO, Crash, FailAt, MediaWorld

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


@pytest.mark.parametrize("bucket", ["media", "renditions"])
def test_without_the_bucket_to_promote_to_the_upload_stays(world: MediaWorld, bucket: str) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.objects.lost.add(bucket)
    with pytest.raises(Unavailable):
        world.pipeline(event)
    assert world.names("inbox") == [event.name]
    world.objects.lost.clear()
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


# What is said while it is looked at


def test_what_arrived_is_scanning_before_anything_is_said_about_it(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    seen: dict[str, Any] = {}

    def look(name: str) -> None:
        if name == "scan":
            seen.update(world.medium(media_id).fields)

    world.watch = look
    world.pipeline(event)
    assert (seen["state"], seen["pinned"]) == ("scanning", str(event.generation))
    assert "generation" not in seen


def test_nothing_is_decoded_that_was_not_scanned(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[bytes] = []
    monkeypatch.setattr("shared.media.pipeline.make", lambda content, _: decoded.append(content))
    for content in (PHOTO + EVIL, PHOTO + b"x" * 10_000_000):
        assert world.medium(world.upload(content)).state == "rejected"
    world.scanner.down = True
    with pytest.raises(Unavailable):
        world.upload(PHOTO)
    assert decoded == []
    assert [len(one) for one in world.scanner.seen] == [len(PHOTO + EVIL), len(PHOTO) + 10_000_000]


def test_without_the_scanner_a_medium_stays_scanning_and_recovers_alone(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.scanner.down = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            world.pipeline(event)
        assert world.medium(media_id).state == "scanning"
        assert world.names("inbox") == [event.name]
        assert world.names("media") == world.names("renditions") == []
    with pytest.raises(Conflict):
        gallery(world).download_url(ADA, media_id)
    world.scanner.down = False
    world.pipeline(event)
    assert world.medium(media_id).state == "ready"
    assert world.told() == [ARRIVED, READY]


def test_an_infected_file_is_never_readable_and_gives_its_room_back(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO + EVIL)
    copied: list[str] = []
    world.watch = lambda name: copied.append(name) if name in ("copy", "write") else None
    world.pipeline(world.put(media_id, PHOTO + EVIL))
    assert copied == []
    assert world.objects.objects == {}
    with pytest.raises(Conflict):
        gallery(world).download_url(ADA, media_id)
    usage = world.store.usage(ADA)
    assert (usage.used, usage.reserved) == (0, 0)


def test_who_scanned_what_is_on_the_medium(world: MediaWorld) -> None:
    fields = world.medium(world.upload(PHOTO)).fields
    assert (fields["scannedBy"], fields["scannedAt"]) == ("a fake", NOON)
    assert fields["sha256"] == hashlib.sha256(PHOTO).hexdigest()
    assert fields["recipe"] == renditions.RECIPE
    assert fields["contentType"] == "image/jpeg"


def test_without_any_scanner_the_medium_says_that_nobody_did(world: MediaWorld) -> None:
    world.pipeline._scanner = NoScanner()
    fields = world.medium(world.upload(PHOTO)).fields
    assert (fields["state"], fields["scannedBy"], fields["scannedAt"]) == ("ready", None, None)


# Several uploads under one name


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_three_uploads_under_one_name_the_last_is_it_in_any_order(
    documents: DocumentStore, order: tuple[int, ...]
) -> None:
    """Only an operator, or an attacker with the bucket's key, replaces an object in the inbox."""
    world = MediaWorld(documents)
    media_id = world.announce(PHOTO)
    events = [world.put(media_id, PHOTO) for _ in range(3)]
    for number in order:
        world.pipeline(events[number])
    medium = world.medium(media_id)
    assert medium.state == "ready"
    assert medium.fields["generation"] == str(events[2].generation)
    assert world.names("media") == [medium.media_name]
    assert len(world.names("renditions")) == 3


def test_what_a_replaced_upload_promoted_before_its_crash_goes(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    first = world.put(media_id, PHOTO)

    def crash(name: str) -> None:
        if name == "after write":
            raise Crash

    world.watch = crash
    with pytest.raises(Crash):
        world.pipeline(first)
    world.watch = lambda _: None
    assert world.names("media") == [f"{media_id}/{first.generation}"]
    second = world.put(media_id, PHOTO)
    world.pipeline(second)
    assert world.names("media") == [f"{media_id}/{second.generation}"]
    assert {name.split("/")[1] for name in world.names("renditions")} == {str(second.generation)}


class SwapAt:
    """A watch that replaces the upload at the nth call; `events` tell of it."""

    def __init__(self, nth: int, world: MediaWorld, media_id: str) -> None:
        self.left = nth
        self.world = world
        self.media_id = media_id
        self.events: list[FinalizedObject] = []

    def __call__(self, _: str) -> None:
        self.left -= 1
        if self.left == 0:
            self.events.append(self.world.put(self.media_id, PHOTO + EVIL))


@pytest.mark.proof
def test_a_swap_while_it_is_scanned_never_promotes_what_was_not() -> None:
    """At each call of the first delivery; then the event of the swapped object comes."""
    counted = MediaWorld(memory_documents())
    calls = FailAt(0, Crash())
    counted.watch = calls
    counted.upload(PHOTO)
    for nth in range(1, len(calls.calls) + 1):
        world = MediaWorld(memory_documents())
        media_id = world.announce(PHOTO)
        event = world.put(media_id, PHOTO)
        swap = SwapAt(nth, world, media_id)
        world.watch = swap
        world.pipeline(event)
        world.watch = lambda _: None
        world.pipeline(swap.events[0])
        for (bucket, _), (_, content, _) in world.objects.objects.items():
            assert bucket != "media" or content == PHOTO, nth
        assert world.medium(media_id).state in ("ready", "rejected"), nth
        assert world.names("inbox") == [], nth


# The same bytes again


def test_the_same_bytes_again_are_scanned_but_neither_made_nor_kept_twice(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.medium(world.upload(PHOTO))
    monkeypatch.setattr("shared.media.pipeline.make", None)
    second = world.medium(world.upload(PHOTO))
    assert second.state == "ready"
    assert second.media_name == first.media_name
    assert second.rendition_name(320) == first.rendition_name(320)
    assert second.fields["thumbhash"] == first.fields["thumbhash"]
    assert world.names("media") == [first.media_name]
    assert len(world.names("renditions")) == 3
    assert world.scanner.seen == [PHOTO, PHOTO]


def test_the_same_bytes_at_the_same_moment_are_kept_once(documents: DocumentStore) -> None:
    world = MediaWorld(documents)
    media = [world.announce(PHOTO) for _ in range(4)]
    events = [world.put(media_id, PHOTO) for media_id in media]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(world.pipeline, events))
    ready = [world.medium(media_id) for media_id in media]
    assert [one.state for one in ready] == ["ready"] * 4
    assert len({one.media_name for one in ready}) == 1
    assert world.names("media") == [ready[0].media_name]
    assert len(world.names("renditions")) == 3
    assert world.names("inbox") == []


# Documents


PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n"


@pytest.mark.parametrize(
    ("content", "kind"), [(PDF, "application/pdf"), (b"buy milk\n", "text/plain")]
)
def test_a_document_is_ready_without_a_preview(
    world: MediaWorld, content: bytes, kind: str
) -> None:
    media_id = world.upload(content, kind)
    view = gallery(world).read(ADA, media_id)
    assert (view.state, view.content_type, view.size) == ("ready", kind, len(content))
    assert (view.width, view.height, view.thumbhash, view.thumbnail_url) == (None,) * 4
    assert view.renditions == ()
    assert gallery(world).find(ADA, MediaFilter()).items[0].thumbnail_url is None
    assert kind in gallery(world).download_url(ADA, media_id)
    with pytest.raises(NotFound):
        gallery(world).thumbnail_url(ADA, media_id, 320)
    assert world.names("renditions") == []
    _, stored, served_as = world.objects.objects["media", world.medium(media_id).media_name]
    assert (stored, served_as) == (content, kind)


def test_what_was_detected_replaces_what_was_declared(world: MediaWorld) -> None:
    content = pictures.heic(pictures.photo(80, 60))
    media_id = world.upload(content, "image/heif")
    assert world.medium(media_id).fields["contentType"] == "image/heic"
    assert gallery(world).read(ADA, media_id).width == 80


def test_the_view_tells_look_colour_and_moment(world: MediaWorld) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 12:30:00", 0x9011: "+02:00"})
    media_id = world.upload(pictures.saved(pictures.photo(80, 60), "JPEG", exif=exif))
    view = gallery(world).read(ADA, media_id)
    assert view.captured_at == "2024-05-01T12:30:00+02:00"
    assert len(view.color or "") == 7
    assert view.thumbhash
    assert [one.animated for one in view.renditions] == [False] * 3


def test_a_moment_that_is_still_to_come_is_not_kept(world: MediaWorld) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2027:05:01 12:30:00"
    media_id = world.upload(pictures.saved(pictures.photo(80, 60), "JPEG", exif=exif))
    assert world.medium(media_id).fields["capturedAt"] is None


def test_an_animation_says_that_it_moves(world: MediaWorld) -> None:
    media_id = world.upload(pictures.animation("GIF"), "image/gif")
    view = gallery(world).read(ADA, media_id)
    assert [one.animated for one in view.renditions] == [True] * 3
