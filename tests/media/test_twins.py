"""The same bytes twice by one owner stand once; whatever happens, nobody loses them too early and
nobody keeps them too long."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.documents import DocumentStore
from shared.errors import ProductError
from shared.events.model import FinalizedObject
from shared.media.gallery import Gallery
from shared.media.retention import Retention
from shared.media.store import MediaStore
from shared.media.trash import Trash
from shared.media.uses import NoTasks
from tests.fixtures import pictures
from tests.fixtures.api import ADA, BOB, Links
from tests.fixtures.stores import documents as documents
from tests.fixtures.stores import memory_documents
from tests.media.world import BUCKETS, NOON, Crash, FailAt, MediaWorld, WatchedObjects, outage

pytestmark = pytest.mark.proof

# Small, because they are rendered hundreds of times.
PHOTO = pictures.saved(pictures.photo(40, 30), "JPEG")
OTHER = pictures.saved(pictures.photo(30, 40), "JPEG")


def erase(world: MediaWorld, media_id: str) -> None:
    store = MediaStore(world.documents)
    gallery = Gallery(store, Links(), renditions_bucket="renditions", clock=lambda: NOON)
    Trash(store, gallery, lambda: NOON).erase(ADA, media_id)


def clean(world: MediaWorld) -> None:
    store = MediaStore(world.documents)
    for minutes in (5, 10):
        now = NOON + timedelta(minutes=minutes)
        Retention(store, world.objects, NoTasks(), BUCKETS, lambda now=now: now).run()  # type: ignore[misc]


def check(world: MediaWorld, owner: str = ADA) -> None:
    """Every ready medium can be read, each blob counts its media, and nothing else stands."""
    media = [world.medium(doc.id) for doc in world.documents.query("media", limit=1000)]
    ready = [medium for medium in media if medium.state == "ready"]
    wanted = {medium.media_name for medium in ready}
    assert set(world.names("media")) == wanted
    assert set(world.names("renditions")) == {
        medium.rendition_name(one["size"])
        for medium in ready
        for one in medium.fields["renditions"]
    }
    blobs = {doc.data["stored"]: doc.data["references"] for doc in world.documents.query("blobs")}
    assert blobs == {name: sum(medium.media_name == name for medium in ready) for name in wanted}
    mine = [medium for medium in ready if medium.owner == owner]
    usage = world.store.usage(owner)
    assert (usage.used, usage.count) == (sum(len(PHOTO) for _ in mine), len(mine))


def arrived(world: MediaWorld, owner: str = ADA) -> tuple[str, FinalizedObject]:
    media_id = world.announce(PHOTO, owner=owner)
    return media_id, world.put(media_id, PHOTO)


def test_the_second_upload_shows_what_the_first_does(documents: DocumentStore) -> None:
    world = MediaWorld(documents)
    one = world.upload(PHOTO, fileName="one.jpg")
    two = world.upload(PHOTO, fileName="two.jpg")
    gallery = Gallery(world.store, Links(), renditions_bucket="renditions")
    first, second = (gallery.read(ADA, media_id) for media_id in (one, two))
    own = ("id", "file_name", "updated_at", "created_at")
    assert first.model_dump(exclude=set(own)) == second.model_dump(exclude=set(own))
    assert (second.id, second.file_name) == (two, "two.jpg")
    check(world)


def test_nobody_learns_from_the_work_done_what_another_has() -> None:
    """Bob's first upload takes the same calls whether Ada has the bytes or not."""
    calls = []
    for ada_has_it in (False, True):
        world = MediaWorld(memory_documents())
        if ada_has_it:
            world.upload(PHOTO)
        _, event = arrived(world, BOB)
        counted = FailAt(0, Crash())
        world.watch = counted
        world.pipeline(event)
        calls.append(counted.calls)
    assert calls[0] == calls[1]


@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
def test_a_fault_at_any_call_while_joining_is_healed(
    fault: Callable[[], BaseException],
) -> None:
    def prepared() -> tuple[MediaWorld, FinalizedObject]:
        world = MediaWorld(memory_documents())
        world.upload(PHOTO)
        return world, arrived(world)[1]

    world, event = prepared()
    counted = FailAt(0, Crash())
    world.watch = counted
    world.pipeline(event)
    assert len(counted.calls) > 8
    for nth in range(1, len(counted.calls) + 1):
        world, event = prepared()
        world.watch = FailAt(nth, fault())
        with suppress(Crash, ProductError):
            world.pipeline(event)
        world.watch = lambda _: None
        world.pipeline(event)
        world.pipeline(event)
        check(world)
        assert world.names("inbox") == []


@pytest.mark.parametrize("what", ["joins", "erased first", "erased later"])
def test_whatever_the_twin_does_at_any_call_of_an_upload(what: str) -> None:
    """Another with the same bytes becomes ready, or is erased, between any two calls."""

    def run(nth: int) -> tuple[MediaWorld, list[str]]:
        world = MediaWorld(memory_documents())
        twin = world.upload(PHOTO) if what != "joins" else None
        _, event = arrived(world)
        calls: list[str] = []

        def meanwhile(name: str) -> None:
            calls.append(name)
            if len(calls) != nth:
                return
            world.watch = lambda _: None
            if twin is None:
                world.upload(PHOTO)
            else:
                erase(world, twin)
                if what == "erased first":
                    clean(world)

        world.watch = meanwhile
        world.pipeline(event)
        world.watch = lambda _: None
        world.pipeline(event)
        clean(world)
        return world, calls

    _, calls = run(0)
    for nth in range(1, len(calls) + 1):
        world, _ = run(nth)
        check(world)
        assert world.names("inbox") == []


@pytest.mark.parametrize("seed", range(4))
def test_many_of_the_same_at_once_each_event_thrice(documents: DocumentStore, seed: int) -> None:
    chance = random.Random(seed)
    world = MediaWorld(documents)
    events = [arrived(world)[1] for _ in range(6)] * 3
    chance.shuffle(events)

    def handle(event: FinalizedObject) -> None:
        for _ in range(20):
            with suppress(ProductError):
                world.pipeline(event)
                return
        raise AssertionError("never handled")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(handle, events))
    assert [doc.data["references"] for doc in documents.query("blobs")] == [6]
    check(world)
    media = [doc.id for doc in documents.query("media")]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda one: erase(world, one), media[:4]))
    clean(world)
    check(world)
    for one in media[4:]:
        erase(world, one)
    clean(world)
    check(world)
    assert world.objects.objects == {}


def test_a_slow_delivery_that_writes_after_all_was_erased_takes_it_back() -> None:
    """It read the upload long ago; meanwhile another delivery made it ready, and it was erased."""
    world = MediaWorld(memory_documents())
    media_id, event = arrived(world)
    other = MediaWorld(world.documents)
    other.objects = world.objects
    done: list[str] = []

    def meanwhile(name: str) -> None:
        if name == "after copy" and not done:
            done.append(name)
            world.watch = lambda _: None
            world.pipeline(event)
            erase(world, media_id)
            clean(world)
            assert world.objects.objects == {}

    world.watch = meanwhile
    world.pipeline(event)
    assert done
    assert world.objects.objects == {}


def test_the_objects_of_an_erased_twin_are_gone_only_from_its_own_name() -> None:
    world = MediaWorld(memory_documents())
    one, two = world.upload(PHOTO), world.upload(OTHER)
    erase(world, one)
    watched: list[str] = []
    objects = WatchedObjects(world.objects, watched.append)
    later = NOON + timedelta(minutes=5)
    Retention(world.store, objects, NoTasks(), BUCKETS, lambda: later).run()
    assert watched.count("erase") == 2
    assert {name.partition("/")[0] for _, name in world.objects.objects} == {two}
