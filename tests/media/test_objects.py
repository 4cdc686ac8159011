"""One contract over the object store in memory and on Cloud Storage (the strict emulator)."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from shared.errors import Unavailable
from shared.media import cloud_storage
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.objects import Gone, MemoryObjects, ObjectStore, ObjectVersion
from tests.emulators.storage.service import Service, running
from tests.fixtures import http
from tests.fixtures.emulated import free_port

PHOTO = bytes(range(256)) * 2000
MISSING = "no-such-bucket"


@dataclass
class World:
    store: ObjectStore
    put: Callable[[str, str, bytes], int]
    """A client's upload; returns its generation."""
    live: Callable[[str], dict[str, tuple[bytes, str]]]
    """Names of a bucket with bytes and type."""
    inbox: str
    media: str

    def upload(self, content: bytes = PHOTO, name: str = "uploads/a") -> ObjectVersion:
        return ObjectVersion(self.inbox, name, self.put(self.inbox, name, content))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("objects")) as running_service:
        yield running_service


class Tokens:
    """`broken` is a metadata server that does not answer."""

    broken = False

    def token(self) -> str:
        if self.broken:
            raise Unavailable
        return "t"


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def on_storage(service: Service, tokens: Tokens) -> Iterator[World]:
    store = CloudStorageObjects("test", service.url, tokens)
    yield _on_storage(service, store)
    store.close()


@pytest.fixture(params=["memory", pytest.param("storage", marks=pytest.mark.emulated)])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return _in_memory()
    found: World = request.getfixturevalue("on_storage")
    return found


def _in_memory() -> World:
    objects = MemoryObjects()
    objects.lost.add(MISSING)
    return World(
        objects,
        lambda bucket, name, content: objects.put(bucket, name, content, "x/client"),
        lambda bucket: {n: found[1:] for (b, n), found in objects.objects.items() if b == bucket},
        "inbox",
        "media",
    )


def _on_storage(service: Service, store: CloudStorageObjects) -> World:
    inbox, media = (f"{kind}-{secrets.token_hex(4)}" for kind in ("inbox", "media"))
    for name in (inbox, media):
        service.bucket(name)

    def put(bucket: str, name: str, content: bytes) -> int:
        blob = service.client.bucket(bucket).blob(name)
        blob.metadata = {"evil": "1"}
        blob.upload_from_string(content, content_type="x/client")
        return int(blob.generation)

    def live(bucket: str) -> dict[str, tuple[bytes, str]]:
        blobs = service.client.list_blobs(bucket)
        return {blob.name: (blob.download_as_bytes(), blob.content_type) for blob in blobs}

    return World(store, put, live, inbox, media)


def test_exactly_that_generation_is_read(world: World) -> None:
    first = world.upload(b"one")
    assert world.store.read(first) == b"one"
    second = world.upload(b"two")
    assert world.store.read(second) == b"two"
    assert world.store.read(first) is None
    assert world.store.read(ObjectVersion(world.inbox, "nothing", 1)) is None


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3000])
def test_pieces_are_the_bytes_of_exactly_that_generation(
    world: World, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_storage, "_PIECE", 1000)
    first = world.upload(PHOTO[:size])
    assert b"".join(world.store.pieces(first)) == PHOTO[:size]
    second = world.upload(b"two")
    assert b"".join(world.store.pieces(second)) == b"two"
    for missing in (first, ObjectVersion(world.inbox, "nothing", 1)):
        with pytest.raises(Gone):
            list(world.store.pieces(missing))


@pytest.mark.emulated
def test_what_goes_between_two_pieces_is_gone(
    on_storage: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_storage, "_PIECE", 1000)
    source = on_storage.upload()
    pieces = on_storage.store.pieces(source)
    assert next(pieces) == PHOTO[:1000]
    on_storage.store.delete(source)
    with pytest.raises(Gone):
        list(pieces)


def test_a_copy_carries_the_bytes_and_the_type_that_was_given(world: World) -> None:
    assert world.store.copy(world.upload(), world.media, "a/1", "image/jpeg") is True
    assert world.live(world.media) == {"a/1": (PHOTO, "image/jpeg")}


def test_a_copy_that_was_made_stands(world: World) -> None:
    source = world.upload()
    assert world.store.copy(source, world.media, "a/1", "image/jpeg") is True
    assert world.store.copy(source, world.media, "a/1", "image/png") is True
    assert world.live(world.media)["a/1"] == (PHOTO, "image/jpeg")
    world.store.delete(source)
    world.store.copy(source, world.media, "a/1", "image/jpeg")
    assert world.live(world.media) == {"a/1": (PHOTO, "image/jpeg")}


def test_a_generation_that_was_replaced_is_not_promoted(world: World) -> None:
    first = world.upload()
    world.upload(b"evil")
    assert world.store.copy(first, world.media, "a/1", "image/jpeg") is False
    assert world.live(world.media) == {}


def test_what_was_written_first_stays(world: World) -> None:
    for content in (b"one", b"two"):
        world.store.write(world.media, "a/1/320.webp", content, "image/webp")
    assert world.live(world.media) == {"a/1/320.webp": (b"one", "image/webp")}


def test_deleting_takes_that_generation_and_no_later_one(world: World) -> None:
    first = world.upload(b"one")
    world.store.delete(first)
    assert world.live(world.inbox) == {}
    world.store.delete(first)
    second = world.upload(b"two")
    world.store.delete(first)
    assert world.store.read(second) == b"two"


def test_discarding_takes_whatever_is_there(world: World) -> None:
    world.store.write(world.media, "a", b"one", "image/webp")
    world.store.discard(world.media, "a")
    world.store.discard(world.media, "a")
    assert world.live(world.media) == {}


def test_erasing_takes_a_name_and_all_below_it_and_nothing_beside_it(world: World) -> None:
    for name in ("a/1", "a/1/5/320.webp", "a/1/5/640.webp", "a/12", "a/12/5/320.webp", "b/1"):
        world.store.write(world.media, name, b"x", "image/webp")
    for _ in range(2):
        world.store.erase(world.media, "a/1")
        assert set(world.live(world.media)) == {"a/12", "a/12/5/320.webp", "b/1"}


@pytest.mark.emulated
def test_erasing_takes_every_generation_that_a_versioned_bucket_kept(
    service: Service, on_storage: World
) -> None:
    bucket = f"versioned-{secrets.token_hex(4)}"
    service.bucket(bucket, versioning_enabled=True)
    for content in (b"one", b"two", b"three"):
        on_storage.put(bucket, "a/1", content)
    on_storage.put(bucket, "a/1/5/320.webp", b"rendition")
    on_storage.store.discard(bucket, "a/1/5/320.webp")
    kept = [blob.name for blob in service.client.list_blobs(bucket, versions=True)]
    assert kept.count("a/1") == 3
    assert "a/1/5/320.webp" in kept
    on_storage.store.erase(bucket, "a/1")
    assert list(service.client.list_blobs(bucket, versions=True)) == []


@pytest.mark.emulated
def test_nothing_that_a_client_wrote_beside_the_bytes_travels_along(
    service: Service, on_storage: World
) -> None:
    world = on_storage
    world.store.copy(world.upload(), world.media, "a/1", "image/jpeg")
    blob = service.client.bucket(world.media).get_blob("a/1")
    assert blob is not None
    assert not blob.metadata
    assert blob.cache_control == "private, max-age=300"


# Trouble


# The client drops a refused download's connection unclosed; collected here, it troubles no other.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.emulated
def test_a_passing_503_is_bridged(service: Service, on_storage: World) -> None:
    world = on_storage
    source = world.upload()
    for method in ("GET", "POST", "POST", "DELETE"):
        _fault(service, method)
    assert world.store.read(source) == PHOTO
    assert world.store.copy(source, world.media, "a/1", "image/jpeg") is True
    world.store.write(world.media, "b", b"two", "image/webp")
    world.store.delete(source)
    assert world.live(world.inbox) == {}
    assert set(world.live(world.media)) == {"a/1", "b"}
    gc.collect()


def _fault(service: Service, method: str) -> None:
    fault = {"kind": "status", "method": method, "path_prefix": "/", "status": 503}
    answer = http.post(f"{service.url}/_emulator/faults", json=fault)
    assert answer.status_code == 201, answer.text


@pytest.mark.emulated
def test_storage_that_is_gone_is_told_within_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    short = cloud_storage._RETRY.with_timeout(0.5)
    monkeypatch.setattr(cloud_storage, "_RETRY", short)
    store = CloudStorageObjects("test", f"http://127.0.0.1:{free_port()}", Tokens())
    version = ObjectVersion("b", "n", 1)
    for call in (
        lambda: store.read(version),
        lambda: list(store.pieces(version)),
        lambda: store.copy(version, "c", "n", "image/jpeg"),
        lambda: store.write("b", "n", b"", "image/webp"),
        lambda: store.delete(version),
    ):
        with pytest.raises(Unavailable):
            call()
    store.close()


def test_a_bucket_that_is_missing_is_an_outage_and_no_answer(world: World) -> None:
    with pytest.raises(Unavailable):
        world.store.write(MISSING, "n", b"", "image/webp")


def test_a_copy_to_a_missing_bucket_never_says_that_the_source_is_gone(world: World) -> None:
    source = world.upload()
    with pytest.raises(Unavailable):
        world.store.copy(source, MISSING, "a/1", "image/jpeg")
    assert world.store.read(source) == PHOTO
    second = world.upload(b"replaced")
    assert world.store.copy(source, MISSING, "a/1", "image/jpeg") is False
    world.store.delete(second)
    assert world.store.copy(second, MISSING, "a/1", "image/jpeg") is False


@pytest.mark.emulated
def test_without_a_token_nothing_is_done(on_storage: World, tokens: Tokens) -> None:
    source = on_storage.upload()
    tokens.broken = True
    with pytest.raises(Unavailable):
        on_storage.store.delete(source)
    tokens.broken = False
    assert on_storage.store.read(source) == PHOTO


def test_a_listing_goes_through_the_live_objects_in_the_order_of_names(world: World) -> None:
    names = [f"uploads/{name}" for name in ("B", "a", "a/1", "aa", "ä", "z")]
    versions = {name: world.upload(name.encode(), name) for name in names}
    world.store.delete(versions.pop("uploads/aa"))
    seen, after = [], ""
    while page := world.store.listed(world.inbox, after, 2):
        assert len(page) <= 2
        seen += page
        after = page[-1].version.name
    wanted = sorted(versions, key=str.encode)
    assert [one.version for one in seen] == [versions[name] for name in wanted]
    assert [one.size for one in seen] == [len(name.encode()) for name in wanted]
    assert all(one.created_at.tzinfo and one.content_type and one.crc32c for one in seen)


def test_what_stands_is_told_from_what_does_not(world: World) -> None:
    version = world.upload()
    assert world.store.stands(world.inbox, version.name)
    assert not world.store.stands(world.inbox, version.name + "/1")
    world.store.delete(version)
    assert not world.store.stands(world.inbox, version.name)
