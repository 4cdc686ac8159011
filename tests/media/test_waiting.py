"""`Prefer: wait`: held until there is something to tell, never for long, never for too many."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from flask import Response

from shared.documents import DocumentStore
from shared.errors import Unavailable
from shared.media.gallery import Gallery
from shared.media.http import routes
from shared.media.model import MediaArrived
from shared.media.store import MediaStore
from shared.media.waiting import LONGEST, Waiting
from tests.fixtures.api import ADA, API, BOB, Links
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.media.world import NOON, PHOTO, MediaWorld


class World(MediaWorld):
    """Time passes only in pauses, in which `meanwhile` happens."""

    def __init__(self, documents: DocumentStore, slots: int = 2) -> None:
        super().__init__(documents)
        self.budget = Budget()
        self.waited: list[float] = []
        self.meanwhile: dict[int, Any] = {}
        store = MediaStore(WatchedDocuments(documents, self.budget))
        gallery = Gallery(store, Links(), renditions_bucket="renditions", media_bucket="media")
        self.waiting = Waiting(slots, clock=lambda: sum(self.waited), pause=self.pause)
        self.api = API("media", routes(gallery, None, None, self.waiting))  # type: ignore[arg-type]

    def pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.meanwhile.pop(len(self.waited), lambda: None)()

    def read(self, media_id: str, prefer: str = "wait=10", **headers: str) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        user = named.pop("user", ADA)
        return self.api("GET", f"/{media_id}", headers={"Prefer": prefer, **named}, user=user)

    def scanning(self, media_id: str) -> None:
        medium = self.medium(media_id)
        event = MediaArrived(
            id="a" * 20, occurred_at=NOON, owner=ADA, media_id=media_id, generation="7"
        )
        self.store.change(medium, "scanning", {"pinned": "7"}, event)


@pytest.fixture
def world() -> World:
    return World(memory_documents())


def test_it_is_held_until_the_medium_is_settled(world: World) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.meanwhile = {4: lambda: world.pipeline(event)}
    answer = world.read(media_id)
    assert answer.get_json()["state"] == "ready"
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert len(world.waited) == 4


def test_it_is_told_soon_for_what_was_waited_and_costs_few_reads(world: World) -> None:
    world.read(world.announce(PHOTO), "wait=20")
    looks = [sum(world.waited[:number]) for number in range(len(world.waited) + 1)]
    assert looks[1] == 0.1
    for before, after in pairwise(looks[1:]):
        assert after - before <= max(0.025, before / 8) + 1e-6
    # What a photograph takes; a whole answer's worth.
    assert len([one for one in looks if one <= 0.36]) <= 11
    assert len(looks) <= 50


def test_it_ends_when_its_time_is_over(world: World) -> None:
    media_id = world.announce(PHOTO)
    answer = world.read(media_id, "wait=3")
    assert (answer.status_code, answer.get_json()["state"]) == (200, "pending")
    assert answer.headers["Preference-Applied"] == "wait=3"
    assert sum(world.waited) == pytest.approx(3)
    # Nothing is ready at once; from then on fewer and fewer looks.
    assert world.budget.taken()["get"] == len(world.waited) + 1
    assert world.waited[1:-1] == sorted(world.waited[1:-1])
    assert max(world.waited) <= 1


def test_nobody_waits_longer_than_the_cap(world: World) -> None:
    answer = world.read(world.announce(PHOTO), "wait=999999999")
    assert answer.headers["Preference-Applied"] == f"wait={LONGEST}"
    assert sum(world.waited) == pytest.approx(LONGEST)


@pytest.mark.parametrize("make", ["ready", "rejected"])
def test_a_settled_medium_is_answered_at_once(world: World, make: str) -> None:
    media_id = world.upload(PHOTO if make == "ready" else PHOTO[:-2])
    answer = world.read(media_id)
    assert answer.get_json()["state"] == make
    assert world.waited == []
    known = answer.headers["ETag"]
    again = world.read(media_id, If_None_Match=known)
    assert (again.status_code, world.waited) == (304, [])


def test_with_what_is_known_each_change_is_told(world: World) -> None:
    media_id = world.announce(PHOTO)
    first = world.read(media_id, "wait=0")
    assert first.get_json()["state"] == "pending"
    world.meanwhile = {3: lambda: world.scanning(media_id)}
    second = world.read(media_id, If_None_Match=first.headers["ETag"])
    assert (second.get_json()["state"], len(world.waited)) == ("scanning", 3)
    # Known as pending only, it is news already.
    third = world.read(media_id, If_None_Match=first.headers["ETag"])
    assert (third.status_code, len(world.waited)) == (200, 3)
    fourth = world.read(media_id, "wait=1", If_None_Match=second.headers["ETag"])
    assert (fourth.status_code, fourth.headers["Preference-Applied"]) == (304, "wait=1")


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [
        ("wait=0", "wait=0"),
        ("respond-async, wait=1", "wait=1"),
        ('WAIT = "1"; foo', "wait=1"),
        ("return=minimal;wait=1", "wait=1"),
        *[(text, None) for text in ("", "wait", "wait=", "wait=-1", "wait=1.5", "wait=x")],
        *[(text, None) for text in ("await=1", "wait=1s", "wait=" + "9" * 10, "foo=wait=1")],
    ],
)
def test_a_preference_that_cannot_be_read_is_none(
    world: World, prefer: str, applied: str | None
) -> None:
    answer = world.read(world.announce(PHOTO), prefer)
    assert answer.status_code == 200
    assert answer.headers.get("Preference-Applied") == applied


def test_what_goes_away_meanwhile_is_missing(world: World) -> None:
    media_id = world.announce(PHOTO)
    gallery = Gallery(world.store, Links(), renditions_bucket="r")
    world.meanwhile = {2: lambda: gallery.delete(ADA, media_id)}
    assert world.read(media_id).status_code == 404
    assert len(world.waited) == 2


def test_nobody_waits_for_what_is_not_his(world: World) -> None:
    assert world.read(world.announce(PHOTO), user=BOB).status_code == 404
    assert world.waited == []


def test_who_comes_when_all_places_are_taken_is_answered_at_once() -> None:
    documents = memory_documents()
    world = World(documents, slots=1)
    media_id = world.announce(PHOTO)
    seen: list[Response] = []

    def another() -> None:
        count = len(world.waited)
        seen.append(world.read(media_id))
        assert len(world.waited) == count

    world.meanwhile = {2: another}
    assert world.read(media_id, "wait=1").headers["Preference-Applied"] == "wait=1"
    assert "Preference-Applied" not in seen[0].headers
    assert seen[0].get_json()["state"] == "pending"
    # The place is free again.
    assert world.read(media_id, "wait=1").headers["Preference-Applied"] == "wait=1"


def test_an_outage_while_somebody_waits_is_told_and_frees_his_place() -> None:
    documents = memory_documents()
    world = World(documents, slots=1)
    media_id = world.announce(PHOTO)

    def gone(*_: Any) -> Any:
        raise Unavailable

    world.meanwhile = {2: lambda: setattr(documents, "get", gone)}
    assert world.read(media_id).status_code == 503
    del documents.get
    assert world.read(media_id, "wait=1").headers["Preference-Applied"] == "wait=1"


def test_of_many_at_once_only_so_many_wait() -> None:
    """With real threads: nobody is lost, and no place is given twice."""
    documents = memory_documents()
    media_id = MediaWorld(documents).announce(PHOTO)
    inside = threading.Semaphore(0)
    leave = threading.Event()

    def pause(_: float) -> None:
        inside.release()
        leave.wait(10)

    waiting = Waiting(3, pause=pause)
    gallery = Gallery(MediaStore(documents), Links(), renditions_bucket="r")
    granted: list[int | None] = []

    def ask() -> None:
        granted.append(waiting.look(lambda: gallery.own(ADA, media_id), "wait=1", None)[1])

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=10)
    others = [threading.Thread(target=ask) for _ in range(9)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    assert granted == [None] * 9
    MediaWorld(documents).pipeline(MediaWorld(documents).put(media_id, b"x"))
    leave.set()
    for thread in threads:
        thread.join()
    assert sorted(granted, key=str) == [1] * 3 + [None] * 9
