"""Commits of media: usage, shared bytes and events are right exactly when the state is."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.documents import Add, AlreadyExists, Create, DocumentStore
from shared.ids import derived_id, new_id
from shared.media.charges import charge, difference
from shared.media.model import (
    BytesErased,
    MediaDeleted,
    MediaReady,
    MediaRejected,
    MediaRestored,
    MediaTrashed,
    Medium,
    ReservationReleased,
    State,
)
from shared.media.store import MediaStore, PreconditionFailed, Usage
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import documents as documents
from tests.media.world import NOON

SHA = "ab" * 32
LATER = NOON + timedelta(hours=1)


class World:
    def __init__(self, documents: DocumentStore) -> None:
        self.documents = documents
        self.store = MediaStore(documents)

    def pending(self, size: int = 100, owner: str = ADA, **more: Any) -> str:
        media_id = new_id()
        data = {
            "owner": owner,
            "fileName": "a.jpg",
            "contentType": "image/jpeg",
            "size": size,
            "crc32c": "AAAAAA==",
            "traceparent": None,
            "uploadExpiresAt": NOON + timedelta(minutes=15),
            "createdAt": NOON,
            "updatedAt": NOON,
        }
        self.store.create(media_id, data | more)
        return media_id

    def medium(self, media_id: str) -> Medium:
        found = self.store.get(media_id)
        assert found is not None
        return found

    def to(self, media_id: str, state: State, at: Any = NOON, **fields: Any) -> None:
        medium = self.medium(media_id)
        kind: Any = {
            "rejected": MediaRejected,
            "trashed": MediaTrashed,
            "ready": MediaRestored,
            "deleted": MediaDeleted,
            "scanning": MediaDeleted,
        }[state]
        event = kind(
            id=new_id(), occurred_at=at, owner=medium.owner, media_id=medium.id, reason="x"
        )
        self.store.change(medium, state, fields, event)

    def ready(self, media_id: str, sha256: str = SHA) -> None:
        """As the pipeline does it: on the same bytes when they are there."""
        medium = self.medium(media_id)
        event = MediaReady(
            id=new_id(), occurred_at=NOON, owner=medium.owner, media_id=media_id, generation="7"
        )
        fields = {
            "generation": "7",
            "sha256": sha256,
            "width": 4,
            "recipe": 1,
            "renditions": [{"size": 320}],
        }
        twin = self.store.twin(medium.owner, sha256)
        self.store.change(medium, "ready", fields, event, twin=twin)

    def erase(self, media_id: str) -> None:
        self.store.erase(self.medium(media_id), NOON)

    def usage(self, owner: str = ADA) -> tuple[int, int, int, int]:
        """used, reserved, count, trashed; what they must be is recomputed from the media."""
        found = self.store.usage(owner)
        media = [doc for doc in self.documents.query("media") if doc.data["owner"] == owner]
        sums = [sum(charge(doc.data).get(name, 0) for doc in media) for name in CHARGES]
        assert [found.used, found.reserved, found.count, found.trashed] == sums
        return found.used, found.reserved, found.count, found.trashed

    def references(self) -> list[int]:
        return [doc.data["references"] for doc in self.documents.query("blobs")]


CHARGES = ("usedBytes", "reservedBytes", "count", "trashedBytes")


@pytest.fixture
def world(documents: DocumentStore) -> World:
    return World(documents)


# What each state takes


def test_a_life_moves_the_usage_step_by_step(world: World) -> None:
    one = world.pending(100)
    assert world.usage() == (0, 100, 0, 0)
    world.to(one, "scanning")
    assert world.usage() == (0, 100, 0, 0)
    world.ready(one)
    assert world.usage() == (100, 0, 1, 0)
    world.to(one, "trashed")
    assert world.usage() == (100, 0, 1, 100)
    world.to(one, "ready")
    assert world.usage() == (100, 0, 1, 0)
    world.erase(one)
    assert world.usage() == (0, 0, 0, 0)
    assert world.usage(BOB) == (0, 0, 0, 0)


def test_a_rejected_upload_gives_its_room_back(world: World) -> None:
    one = world.pending(100)
    world.to(one, "rejected")
    assert world.usage() == (0, 0, 0, 0)
    world.to(one, "deleted")
    assert world.usage() == (0, 0, 0, 0)


@pytest.mark.parametrize("state", ["pending", "scanning"])
def test_a_cancelled_upload_holds_its_room_until_its_url_is_dead(
    world: World, state: State
) -> None:
    one = world.pending(100)
    if state == "scanning":
        world.to(one, "scanning")
    world.to(one, "deleted", NOON + timedelta(minutes=14))
    assert world.usage() == (0, 100, 0, 0)
    assert "expireAt" not in world.medium(one).fields
    ((due,),) = [world.store.due("heldUntil", LATER, 10)]
    assert due.id == one
    event = ReservationReleased(id=new_id(), occurred_at=LATER, owner=ADA, media_id=one)
    world.store.settle(due, ("heldUntil",), event)
    assert world.usage() == (0, 0, 0, 0)
    assert world.store.due("heldUntil", LATER, 10) == []
    with pytest.raises(PreconditionFailed):
        world.store.settle(due, ("heldUntil",), event)
    assert world.usage() == (0, 0, 0, 0)
    assert world.medium(one).fields["expireAt"] == LATER + timedelta(days=30)


def test_one_whose_url_is_dead_already_gives_its_room_back_at_once(world: World) -> None:
    one = world.pending(100)
    world.to(one, "deleted", LATER)
    assert world.usage() == (0, 0, 0, 0)
    assert world.store.due("heldUntil", LATER, 10) == []


def test_a_state_of_a_document_is_charged_by_itself_alone() -> None:
    states = ("pending", "scanning", "ready", "rejected", "trashed", "deleted")
    held = [{"heldUntil": None}, {"heldUntil": NOON}]
    documents: list[dict[str, Any]] = [
        {"state": state, "size": 5, **more} for state in states for more in held
    ]
    for before in documents:
        for after in documents:
            there, back = difference(before, after), difference(after, before)
            assert {name: -step for name, step in back.items()} == there
            moved = {**charge(before)}
            for name, step in there.items():
                moved[name] = moved.get(name, 0) + step
            assert {name: n for name, n in moved.items() if n} == charge(after)


def test_of_many_who_make_the_same_change_it_counts_for_one(world: World) -> None:
    one = world.pending(100)
    medium = world.medium(one)

    def change(number: int) -> bool:
        event = MediaRejected(
            id=new_id(), occurred_at=NOON, owner=ADA, media_id=one, reason=str(number)
        )
        try:
            world.store.change(medium, "rejected", {}, event)
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(change, range(16))) == 1
    assert world.usage() == (0, 0, 0, 0)


def test_an_announcement_on_a_usage_that_moved_is_refused(world: World) -> None:
    seen = [world.store.usage(ADA)]
    world.pending(10)
    seen.append(world.store.usage(ADA))
    world.pending(10)
    draft = world.medium(world.pending(10)).fields
    for usage in seen:
        with pytest.raises((PreconditionFailed, AlreadyExists)):
            world.store.announce({new_id(): draft}, usage)
    assert world.usage() == (0, 30, 0, 0)
    after = world.store.announce({new_id(): draft, new_id(): draft}, world.store.usage(ADA))
    assert (after.used, after.reserved) == (0, 50)
    assert world.usage() == (0, 50, 0, 0)


def test_an_announcement_tells_what_all_of_them_came_to(world: World) -> None:
    one = world.pending(10)
    world.ready(one)
    draft = world.medium(world.pending(5)).fields
    after = world.store.announce({new_id(): draft})
    assert (after.used, after.reserved) == (10, 10)
    with pytest.raises(AlreadyExists):
        world.store.announce({one: draft})
    assert world.usage() == (10, 10, 1, 0)


# Shared bytes


def test_the_second_medium_stands_on_the_bytes_of_the_first(world: World) -> None:
    first, second = world.pending(), world.pending()
    world.ready(first)
    world.ready(second)
    a, b = world.medium(first), world.medium(second)
    assert a.media_name == b.media_name == f"{first}/7"
    assert a.rendition_name(320) == b.rendition_name(320)
    assert (b.fields["width"], b.fields["renditions"]) == (4, [{"size": 320}])
    assert world.references() == [2]
    assert world.usage() == (200, 0, 2, 0)


def test_the_same_bytes_of_two_people_have_nothing_in_common(world: World) -> None:
    first, second = world.pending(), world.pending(owner=BOB)
    world.ready(first)
    assert world.store.twin(BOB, SHA) is None
    world.ready(second)
    assert world.medium(first).media_name != world.medium(second).media_name
    assert world.references() == [1, 1]


def test_of_two_first_ones_the_second_is_told_to_look_again(world: World) -> None:
    first, second = world.pending(), world.pending()
    stale = world.medium(second)
    world.ready(first)
    event = MediaReady(id=new_id(), occurred_at=NOON, owner=ADA, media_id=second, generation="8")
    with pytest.raises(PreconditionFailed):
        world.store.change(stale, "ready", {"generation": "8", "sha256": SHA}, event)
    assert world.medium(second).state == "pending"
    world.ready(second)
    assert world.references() == [2]


def test_whoever_joins_what_the_last_one_leaves_finds_nothing(world: World) -> None:
    first, second = world.pending(), world.pending()
    world.ready(first)
    twin = world.store.twin(ADA, SHA)
    world.erase(first)
    event = MediaReady(id=new_id(), occurred_at=NOON, owner=ADA, media_id=second, generation="8")
    fields = {"generation": "8", "sha256": SHA}
    with pytest.raises(PreconditionFailed):
        world.store.change(world.medium(second), "ready", fields, event, twin=twin)
    assert world.references() == []
    world.store.change(world.medium(second), "ready", fields, event)
    assert world.medium(second).media_name == f"{second}/8"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_bytes_are_left_over_when_the_last_medium_is_erased(
    world: World, order: tuple[int, int]
) -> None:
    media = [world.pending(), world.pending()]
    for one in media:
        world.ready(one)
    name = f"{media[0]}/7"
    first, last = (media[number] for number in order)
    world.erase(first)
    assert "leftover" not in world.medium(first).fields
    assert world.store.due("leftoverAt", LATER, 10) == []
    assert world.store.keeps(world.medium(media[0]), name)
    world.erase(last)
    assert world.medium(last).fields["leftover"] == name
    assert not world.store.keeps(world.medium(media[0]), name)
    (due,) = world.store.due("leftoverAt", LATER, 10)
    gone = BytesErased(id=new_id(), occurred_at=LATER, owner=ADA, media_id=due.id)
    world.store.settle(due, ("leftover", "leftoverAt"), gone)
    assert world.store.due("leftoverAt", LATER, 10) == []
    assert world.references() == []
    assert world.usage() == (0, 0, 0, 0)


def test_two_who_leave_at_once_leave_the_bytes_over_once(world: World) -> None:
    media = [world.pending() for _ in range(6)]
    for one in media:
        world.ready(one)

    def leave(one: str) -> None:
        for _ in range(50):
            with suppress(PreconditionFailed):
                world.erase(one)
                return

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(leave, media))
    assert len(world.store.due("leftoverAt", LATER, 10)) == 1
    assert world.references() == []
    assert world.usage() == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_whoever_comes_and_goes_in_any_order_the_count_is_that_of_the_media(
    world: World, seed: int
) -> None:
    chance = random.Random(seed)
    there: list[str] = []
    for _ in range(25):
        if not there or chance.random() < 0.6:
            there.append(world.pending())
            world.ready(there[-1], chance.choice(["aa" * 32, "bb" * 32]))
        else:
            world.erase(there.pop(chance.randrange(len(there))))
    media = [world.medium(one) for one in there]
    by_name: dict[str, int] = {}
    for medium in media:
        by_name[medium.media_name] = by_name.get(medium.media_name, 0) + 1
    blobs = {doc.data["stored"]: doc.data["references"] for doc in world.documents.query("blobs")}
    assert blobs == by_name
    left = {one.fields["leftover"] for one in world.store.due("leftoverAt", LATER, 100)}
    assert not left & set(by_name)
    world.usage()


def test_a_tombstone_keeps_nothing_of_what_the_person_made_of_it(world: World) -> None:
    one = world.pending(fileName="my secret.jpg")
    world.ready(one)
    world.erase(one)
    assert set(world.medium(one).fields) == {
        *("owner", "state", "size", "createdAt", "updatedAt", "uploadExpiresAt", "schemaVersion"),
        *("generation", "stored", "blob", "leftover", "leftoverAt", "commitId"),
    }


def test_an_erased_medium_without_shared_bytes_is_left_over_too(world: World) -> None:
    """One from before bytes were shared."""
    one = world.pending()
    medium = world.medium(one)
    event = MediaReady(id=new_id(), occurred_at=NOON, owner=ADA, media_id=one, generation="7")
    world.store.change(medium, "ready", {"generation": "7"}, event)
    assert world.store.keeps(world.medium(one), f"{one}/7")
    assert not world.store.keeps(world.medium(one), f"{one}/8")
    world.erase(one)
    assert world.medium(one).fields["leftover"] == f"{one}/7"
    assert not world.store.keeps(world.medium(one), f"{one}/7")


def test_a_medium_that_is_none_keeps_nothing(world: World) -> None:
    one = world.pending()
    assert not world.store.keeps(None, f"{one}/7")
    assert not world.store.keeps(world.medium(one), f"{one}/7")
    world.to(one, "rejected", generation="7")
    assert not world.store.keeps(world.medium(one), f"{one}/7")


def test_a_usage_that_was_never_written_is_nothing(world: World) -> None:
    assert world.store.usage(ADA) == Usage()
    guard = Create("marks/a", {})
    world.documents.commit([guard, Add(f"usage/{ADA}", {"usedBytes": 5})])
    assert world.store.usage(ADA).used == 5
    world.store.forget_usage(ADA)
    assert world.store.usage(ADA) == Usage()


def test_every_announced_medium_is_told(world: World) -> None:
    one = world.pending()
    event = world.documents.get(f"outbox/{derived_id('snaptask.media.v1.announced', one)}")
    assert event is not None
    assert event.data["type"] == "snaptask.media.v1.announced"
