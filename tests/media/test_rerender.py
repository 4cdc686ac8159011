"""Another recipe makes other renditions, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from shared.documents import DocumentStore
from shared.errors import Unavailable
from shared.media.gallery import Gallery
from shared.media.rerender import Arrivals, Rerender, is_outdated
from tests.fixtures import pictures
from tests.fixtures.api import ADA, Links
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.fixtures.stores import documents as documents
from tests.media.world import BUCKETS, NOON, Crash, FailAt, MediaWorld, WatchedObjects, outage

PHOTO = pictures.saved(pictures.photo(40, 30), "JPEG")
SIZES = (320, 640, 1280)


@contextmanager
def recipe(number: int) -> Iterator[None]:
    """The code as it will be when the recipe was counted up."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("pipeline", "rerender"):
            patch.setattr(f"shared.media.{module}.RECIPE", number)
        patch.setattr("shared.media.renditions.QUALITY", 80 - number)
        yield


@pytest.fixture
def world(documents: DocumentStore) -> MediaWorld:
    return MediaWorld(documents)


def rerender(world: MediaWorld) -> Rerender:
    watched = WatchedDocuments(world.documents, lambda name, _: world.watch(name))
    objects = WatchedObjects(world.objects, lambda name: world.watch(name))
    store = type(world.store)(watched)
    return Rerender(store, objects, world.outbox, BUCKETS, lambda: NOON)


def names(world: MediaWorld, media_id: str, number: int) -> list[str]:
    original = world.medium(media_id).media_name
    return sorted(f"{original}/{number}/{size}.webp" for size in SIZES)


def test_renditions_of_an_old_recipe_are_made_anew_and_the_old_go(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    before = dict(world.objects.objects)
    assert not is_outdated(world.medium(media_id))
    with recipe(2):
        assert is_outdated(world.medium(media_id))
        assert rerender(world)(world.medium(media_id))
        medium = world.medium(media_id)
        assert not is_outdated(medium)
    assert (medium.state, medium.fields["recipe"]) == ("ready", 2)
    assert world.names("renditions") == names(world, media_id, 2)
    assert world.objects.objects["media", medium.media_name] == before["media", medium.media_name]
    new = world.objects.objects["renditions", medium.rendition_name(320)][1]
    assert new not in [content for _, content, _ in before.values()]
    sizes = [one["bytes"] for one in medium.fields["renditions"]]
    assert sizes[0] == len(new)
    assert world.told()[-1] == "snaptask.media.v1.rerendered"
    usage = world.store.usage(ADA)
    assert (usage.used, usage.reserved, usage.count) == (len(PHOTO), 0, 1)


def test_what_is_of_the_present_recipe_costs_nothing(world: MediaWorld) -> None:
    medium = world.medium(world.upload(PHOTO))
    calls: list[str] = []
    world.watch = calls.append
    assert rerender(world)(medium)
    assert calls == []


def test_a_document_has_nothing_to_be_made_anew(world: MediaWorld) -> None:
    medium = world.medium(world.upload(b"buy milk", "text/plain"))
    with recipe(2):
        assert not is_outdated(medium)
        assert rerender(world)(medium)


def test_twice_is_once(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    old = world.medium(media_id)
    with recipe(2):
        assert rerender(world)(old)
        state = world.state()
        assert rerender(world)(old)
        assert rerender(world)(world.medium(media_id))
        assert world.state() == state


def test_many_at_once_are_one(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    with recipe(2):
        with ThreadPoolExecutor(6) as threads:
            media = [world.medium(media_id)] * 6
            assert all(threads.map(rerender(world), media))
        assert world.names("renditions") == names(world, media_id, 2)
    assert world.told().count("snaptask.media.v1.rerendered") == 1


def damage(world: MediaWorld, name: str) -> None:
    world.objects.discard("media", name)
    world.objects.put("media", name, PHOTO[:-1], "image/jpeg")


@pytest.mark.parametrize(
    "trouble",
    [
        lambda world, name: world.objects.discard("media", name),
        damage,
    ],
    ids=["missing", "damaged"],
)
def test_without_its_original_a_medium_stays_as_it_is(
    world: MediaWorld, trouble: Callable[[MediaWorld, str], None]
) -> None:
    medium = world.medium(world.upload(PHOTO))
    trouble(world, medium.media_name)
    before = world.state()
    with recipe(2):
        assert not rerender(world)(medium)
    assert world.state() == before


def test_what_the_new_recipe_refuses_keeps_its_old_renditions(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    medium = world.medium(world.upload(PHOTO))
    before = world.state()
    monkeypatch.setattr("shared.media.renditions.MAX_PIXELS", 10)
    with recipe(2):
        assert not rerender(world)(medium)
    assert world.state() == before


@pytest.mark.parametrize("moment", ["load", "write", "commit"])
def test_thrown_away_meanwhile_it_stays_thrown_away(world: MediaWorld, moment: str) -> None:
    media_id = world.upload(PHOTO)
    medium = world.medium(media_id)

    def throw_away(name: str) -> None:
        if name == moment:
            world.watch = lambda _: None
            links = Links()
            Gallery(world.store, links, renditions_bucket="renditions").delete(ADA, media_id)

    world.watch = throw_away
    with recipe(2):
        assert not rerender(world)(medium)
        assert not rerender(world)(world.medium(media_id))
    after = world.medium(media_id)
    assert (after.state, after.fields["recipe"]) == ("trashed", 1)
    # What it would be restored with is there.
    assert set(names(world, media_id, 1)) <= set(world.names("renditions"))


def calls_of_a_run() -> list[str]:
    world = MediaWorld(memory_documents())
    medium = world.medium(world.upload(PHOTO))
    watch = FailAt(0, Crash())
    world.watch = watch
    with recipe(2):
        rerender(world)(medium)
    return watch.calls


CALLS = calls_of_a_run()


@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
@pytest.mark.parametrize("nth", range(1, len(CALLS) + 1), ids=lambda n: f"{n} {CALLS[n - 1]}")
def test_a_fault_at_any_call_leaves_a_medium_whose_renditions_are_there(
    nth: int, fault: Callable[[], BaseException]
) -> None:
    world = MediaWorld(memory_documents())
    media_id = world.upload(PHOTO)
    world.watch = FailAt(nth, fault())
    with recipe(2):
        with suppress(Crash, Unavailable):
            rerender(world)(world.medium(media_id))
        world.watch = lambda _: None
        medium = world.medium(media_id)
        named = {medium.rendition_name(size) for size in SIZES}
        assert named <= set(world.names("renditions"))
        assert rerender(world)(medium)
        assert rerender(world)(world.medium(media_id))
    medium = world.medium(media_id)
    assert medium.fields["recipe"] == 2
    assert set(names(world, media_id, 2)) <= set(world.names("renditions"))
    # What a kill between the commit and the last delete leaves goes with the original.
    world.objects.erase("renditions", medium.media_name)
    assert world.names("renditions") == []


def test_of_shared_bytes_each_medium_always_has_its_renditions(world: MediaWorld) -> None:
    media = [world.upload(PHOTO) for _ in range(2)]

    def all_there() -> bool:
        wanted = {
            world.medium(media_id).rendition_name(size) for media_id in media for size in SIZES
        }
        return wanted <= set(world.names("renditions"))

    with recipe(2):
        assert rerender(world)(world.medium(media[0]))
        assert all_there()
        # Who joins now gets the new ones.
        media.append(world.upload(PHOTO))
        assert world.medium(media[2]).fields["recipe"] == 2
        assert all_there()
        assert rerender(world)(world.medium(media[1]))
        assert all_there()
    assert {world.medium(media_id).fields["recipe"] for media_id in media} == {2}


def lose(world: MediaWorld, media_id: str, *sizes: int) -> None:
    medium = world.medium(media_id)
    for size in sizes:
        world.objects.discard("renditions", medium.rendition_name(size))


def without_generations(world: MediaWorld) -> dict[tuple[str, str], tuple[bytes, str]]:
    return {where: (content, kind) for where, (_, content, kind) in world.objects.objects.items()}


@pytest.mark.parametrize("lost", [(640,), SIZES], ids=["one", "all"])
@pytest.mark.parametrize("trashed", [False, True], ids=["ready", "trashed"])
def test_missing_renditions_are_written_again_and_nothing_else_changes(
    world: MediaWorld, lost: tuple[int, ...], trashed: bool
) -> None:
    media_id = world.upload(PHOTO)
    if trashed:
        Gallery(world.store, Links(), renditions_bucket="renditions").delete(ADA, media_id)
    before, objects, version = world.state(), without_generations(world), world.medium(media_id)
    lose(world, media_id, *lost)
    assert without_generations(world) != objects
    for _ in range(2):
        assert rerender(world).restore(version.media_name)
        assert without_generations(world) == objects
    assert world.state() == before
    assert world.medium(media_id).version == version.version


def test_what_misses_nothing_is_not_even_read(world: MediaWorld) -> None:
    medium = world.medium(world.upload(PHOTO))
    calls: list[str] = []
    world.watch = calls.append
    assert rerender(world).restore(medium.media_name)
    assert not {"load", "write", "commit"} & set(calls)


def test_many_that_restore_at_once_write_the_same(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    objects = without_generations(world)
    lose(world, media_id, *SIZES)
    name = world.medium(media_id).media_name
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(rerender(world).restore, [name] * 6))
    assert without_generations(world) == objects


@pytest.mark.parametrize(
    "trouble",
    [lambda world, name: world.objects.discard("media", name), damage],
    ids=["missing", "damaged"],
)
def test_without_its_original_nothing_is_restored(
    world: MediaWorld, trouble: Callable[[MediaWorld, str], None]
) -> None:
    media_id = world.upload(PHOTO)
    name = world.medium(media_id).media_name
    lose(world, media_id, 320)
    trouble(world, name)
    before = world.state()
    assert not rerender(world).restore(name)
    assert world.state() == before


def test_what_is_erased_while_it_is_restored_leaves_nothing(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    medium = world.medium(media_id)
    lose(world, media_id, 320)

    def erase(call: str) -> None:
        if call == "write":
            world.watch = lambda _: None
            Gallery(world.store, Links(), renditions_bucket="renditions").delete(ADA, media_id)
            world.store.erase(world.medium(media_id), NOON)
            world.objects.erase("media", medium.media_name)
            world.objects.erase("renditions", medium.media_name)

    world.watch = erase
    rerender(world).restore(medium.media_name)
    assert world.medium(media_id).state == "deleted"
    assert world.objects.objects == {}


def calls_of_a_restoration() -> list[str]:
    world = MediaWorld(memory_documents())
    media_id = world.upload(PHOTO)
    lose(world, media_id, *SIZES)
    watch = FailAt(0, Crash())
    world.watch = watch
    rerender(world).restore(world.medium(media_id).media_name)
    return watch.calls


RESTORING = calls_of_a_restoration()


@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
@pytest.mark.parametrize(
    "nth", range(1, len(RESTORING) + 1), ids=lambda n: f"{n} {RESTORING[n - 1]}"
)
def test_a_fault_while_restoring_is_mended_by_the_next_delivery(
    nth: int, fault: Callable[[], BaseException]
) -> None:
    world = MediaWorld(memory_documents())
    media_id = world.upload(PHOTO)
    before, objects = world.state(), without_generations(world)
    lose(world, media_id, *SIZES)
    name = world.medium(media_id).media_name
    world.watch = FailAt(nth, fault())
    with suppress(Crash, Unavailable):
        rerender(world).restore(name)
    world.watch = lambda _: None
    assert rerender(world).restore(name)
    assert (world.state(), without_generations(world)) == (before, objects)


def test_renditions_of_an_old_recipe_that_are_missing_come_by_the_present_one(
    world: MediaWorld,
) -> None:
    media = [world.upload(PHOTO) for _ in range(2)]
    name = world.medium(media[0]).media_name
    assert world.medium(media[1]).media_name == name
    lose(world, media[0], 320)
    with recipe(2):
        assert rerender(world).restore(name)
    for media_id in media:
        medium = world.medium(media_id)
        assert medium.fields["recipe"] == 2
        wanted = {medium.rendition_name(size) for size in SIZES}
        assert wanted <= set(world.names("renditions"))


def test_an_original_is_restored_and_an_upload_looked_at(world: MediaWorld) -> None:
    media_id = world.upload(PHOTO)
    objects = without_generations(world)
    lose(world, media_id, 320)
    name = world.medium(media_id).media_name
    arrivals = Arrivals(world.pipeline, rerender(world), BUCKETS)
    event = world.put(world.announce(pictures.saved(pictures.photo(30, 30), "PNG")), b"x")
    for odd in ("", "../x", f"{name}/1/320.webp", "a" * 20 + "/1"):
        arrivals(replace(event, bucket="media", name=odd))
    assert without_generations(world) != objects
    arrivals(replace(event, bucket="media", name=name))
    assert {where for where in objects if where[0] == "renditions"} == {
        where for where in world.objects.objects if where[0] == "renditions"
    }
    arrivals(event)
    assert world.names("inbox") == []
