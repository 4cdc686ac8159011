"""Nobody has tasks without end, and who has too many is told what to do."""

from __future__ import annotations

import pytest
from flask import Response

from shared.documents import DocumentStore
from shared.tasks import room
from shared.tasks.room import Room
from shared.tasks.store import TaskStore
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import Budget, WatchedDocuments
from tests.identity.world import at_once
from tests.tasks.world import World


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MOST_TASKS", 6)


def create(world: World, **headers: str) -> Response:
    return world.api("POST", "/", {"title": "one more"}, headers=headers)


def test_the_last_task_is_taken_and_one_more_is_refused_with_nothing_done(world: World) -> None:
    tasks = [world.task() for _ in range(6)]
    refused = create(world)
    assert refused.status_code == 409
    problem = refused.get_json(force=True)
    assert problem["type"] == "/problems/quota-exceeded"
    assert problem["detail"] == "An account has at most 6 tasks; delete some first"
    assert sorted(world.ids()) == sorted(tasks)
    assert len(world.documents.query("outbox")) == 6
    world.task(BOB)
    assert world.api("PATCH", f"/{tasks[0]}", {"title": "still mine"}).status_code == 200
    world.api("DELETE", f"/{tasks[0]}")
    world.task()


def test_a_shared_task_is_its_owners_alone(world: World) -> None:
    theirs = [world.task(BOB) for _ in range(6)]
    for one in theirs:
        world.share(one, ADA, owner=BOB)
    assert create(world).status_code == 201


def test_a_request_that_filled_the_room_is_answered_again(world: World) -> None:
    """Its key says that it is no other one."""
    for _ in range(5):
        world.task()
    first, again = (create(world, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.get_json(force=True) == first.get_json(force=True)
    assert create(world, **{"Idempotency-Key": "another"}).status_code == 409


def test_of_many_at_once_no_more_pass_than_were_under_way(world: World) -> None:
    for _ in range(5):
        world.task()
    codes = at_once(8, lambda _: create(world).status_code)
    assert set(codes) <= {201, 409}
    assert codes.count(201) >= 1
    assert len(world.ids("limit=100")) == 5 + codes.count(201)
    assert create(world).status_code == 409


def test_who_has_room_to_spare_is_counted_now_and_then(
    documents: DocumentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_TASKS", 302)
    budget, now = Budget(), [0.0]
    checked = Room(TaskStore(WatchedDocuments(documents, budget)), lambda: now[0])
    world = World(documents)
    # There is room for 302: that for three more is sure.
    for _ in range(4):
        checked.check(ADA)
        world.task()
    assert budget.taken() == {"query": 1}
    # For 298, and two more are sure, but for half a minute only.
    checked.check(ADA)
    now[0] += 30
    checked.check(ADA)
    assert budget.taken() == {"query": 2}
    checked.check(BOB)
    assert budget.taken() == {"query": 1}, "everybody has his own"
