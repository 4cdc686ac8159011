"""Another recipe makes other renditions, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from shared.documents import DocumentStore
from shared.errors import Unavailable
from shared.media.gallery import Gallery
from shared.media.rerender import Rerender, is_outdated
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
