"""Every external call of the pipeline fails once, before or after it was carried out, and the
process dies there, or is told of an outage. After two more deliveries all is as if nothing had
been: the same documents, the same objects, the same events."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress

import pytest

from shared.errors import ProductError
from shared.events.model import FinalizedObject
from shared.ids import derived_id
from shared.media.objects import ObjectVersion
from tests.fixtures import pictures
from tests.fixtures.scanner import EVIL
from tests.fixtures.stores import memory_documents
from tests.media.world import PHOTO, Crash, FailAt, MediaWorld, outage

pytestmark = pytest.mark.proof

GOOD = ("good", PHOTO, "image/jpeg")
BAD = ("bad", PHOTO[:-2], "image/jpeg")
VIRUS = ("virus", PHOTO + EVIL, "image/jpeg")
TEXT = ("text", b"buy milk", "text/plain")
MOVING = ("moving", pictures.animation("GIF"), "image/gif")
KINDS = {
    "a good picture": GOOD,
    "a bad one": BAD,
    "a virus": VIRUS,
    "a text": TEXT,
    "one that moves": MOVING,
}
MOST_CALLS = 100


def arrive(world: MediaWorld, name: str, content: bytes, kind: str) -> FinalizedObject:
    media_id = world.announce(content, kind, id=derived_id(name))
    return world.put(media_id, content, kind)


def golden(name: str, content: bytes, kind: str) -> tuple[str, list[str]]:
    """The state after a run without trouble, and the calls it made."""
    world = MediaWorld(memory_documents())
    event = arrive(world, name, content, kind)
    watch = FailAt(MOST_CALLS + 1, Crash())
    world.watch = watch
    world.pipeline(event)
    return world.state(), watch.calls


def unhealed(
    upload: tuple[str, bytes, str],
    fault: Callable[[], BaseException],
    handler: Callable[[MediaWorld], Callable[[FinalizedObject], None]],
) -> list[str]:
    """The calls at which one `fault` leaves another state than a run without."""
    wanted, calls = golden(*upload)
    assert len(calls) > 8
    wrong = []
    for nth, call in enumerate(calls, 1):
        world = MediaWorld(memory_documents())
        event = arrive(world, *upload)
        handle = handler(world)
        world.watch = FailAt(nth, fault())
        with suppress(Crash, ProductError):
            handle(event)
        world.watch = _calm
        handle(event)
        handle(event)
        world.outbox.sweep()
        if world.state() != wanted:
            wrong.append(f"{nth}: {call}")
    return wrong


@pytest.mark.parametrize("upload", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
def test_a_fault_at_any_call_is_healed_by_the_next_deliveries(
    upload: tuple[str, bytes, str], fault: Callable[[], BaseException]
) -> None:
    assert unhealed(upload, fault, lambda world: world.pipeline) == []


def test_the_enumeration_sees_a_handler_that_acknowledges_too_early() -> None:
    """The mutant takes the upload away before the medium is settled, as naive handlers do."""

    def mutant(world: MediaWorld) -> Callable[[FinalizedObject], None]:
        def handle(event: FinalizedObject) -> None:
            content = world.objects.read(ObjectVersion("inbox", event.name, event.generation))
            world.objects.discard("inbox", event.name)
            if content is not None:
                world.objects.objects["inbox", event.name] = (
                    event.generation,
                    content,
                    event.content_type,
                )
                try:
                    world.pipeline(event)
                finally:
                    world.objects.discard("inbox", event.name)

        return handle

    assert unhealed(GOOD, Crash, mutant) != []


@pytest.mark.parametrize("seed", range(5))
def test_three_deliveries_of_everything_in_any_order_end_the_same(seed: int) -> None:
    chance = random.Random(seed)
    uploads = [
        GOOD,
        BAD,
        ("png", pictures.saved(pictures.photo(90, 60), "PNG"), "image/png"),
        ("svg", b"<svg/>" * 20, "image/jpeg"),
        VIRUS,
        TEXT,
        MOVING,
    ]
    worlds = [MediaWorld(memory_documents()) for _ in range(2)]
    for world in worlds:
        events = [arrive(world, *upload) for upload in uploads]
        if world is worlds[1]:
            events *= 3
            chance.shuffle(events)
        for event in events:
            world.watch = FailAt(chance.randint(1, 30), outage()) if world is worlds[1] else _calm
            try:
                world.pipeline(event)
            except ProductError:
                events.append(event)
        world.watch = _calm
        world.outbox.sweep()
    assert worlds[0].state() == worlds[1].state()


@pytest.mark.parametrize("seed", range(5))
def test_the_same_bytes_three_times_in_any_order_are_kept_once(seed: int) -> None:
    """Which of them came first is a matter of chance; that one did, is not."""
    chance = random.Random(seed)
    world = MediaWorld(memory_documents())
    events = [arrive(world, name, PHOTO, "image/jpeg") for name in ("a", "b", "c")] * 3
    chance.shuffle(events)
    for event in events:
        world.watch = FailAt(chance.randint(1, 30), chance.choice([outage(), Crash()]))
        try:
            world.pipeline(event)
        except (ProductError, Crash):
            events.append(event)
    world.watch = _calm
    world.outbox.sweep()
    media = [world.medium(derived_id(name)) for name in ("a", "b", "c")]
    assert [one.state for one in media] == ["ready"] * 3
    assert {one.media_name for one in media} == set(world.names("media"))
    assert len(world.names("media")) == 1
    assert len(world.names("renditions")) == 3
    assert world.names("inbox") == []
    usage = world.store.usage(media[0].owner)
    assert (usage.used, usage.reserved, usage.count) == (3 * len(PHOTO), 0, 3)


def _calm(_: str) -> None:
    pass
