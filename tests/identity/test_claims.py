"""Before a key of addresses goes, everybody is found by its successor."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.documents import Delete, DocumentStore, Update
from shared.errors import Unavailable
from shared.identity import claims
from shared.identity.claims import AddressClaims
from shared.identity.keys import ANNOUNCED
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.identity.world import HMAC, PASSWORD, Between, World, at_once

NAMES = [f"user{number}@example.org" for number in range(7)]


@pytest.fixture(autouse=True)
def small_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_ROUND", 3)


def with_new_key(documents: DocumentStore) -> World:
    """Seven people who signed up under the first key, and a second one that signs."""
    world = World(documents)
    for name in NAMES:
        assert world.register(name).status_code == 202
    world.secrets.add(HMAC, b"n" * 32, world.clock.now)
    world.clock.now += ANNOUNCED + timedelta(minutes=6)
    return world


def claimer(world: World, documents: DocumentStore | None = None) -> AddressClaims:
    documents = documents or world.documents
    return AddressClaims(documents, world.macs, world.clock, world.clock.ticks)


def without_the_old_key(world: World) -> None:
    world.secrets.disable(world.secrets.versions(HMAC)[-1])
    world.clock.advance(minutes=6)


def sign_in_statuses(world: World) -> list[int]:
    return [world.post("/login", email=name, password=PASSWORD).status_code for name in NAMES]


def test_everybody_signs_in_after_the_old_key_is_gone(world: World) -> None:
    world = with_new_key(world.documents)
    assert claimer(world).renewed(2)
    without_the_old_key(world)
    assert sign_in_statuses(world) == [200] * 7
    # And nobody can take an address that somebody has.
    assert world.register(NAMES[0], "another password").status_code == 202
    assert world.post("/login", email=NAMES[0], password="another password").status_code == 401


def test_without_it_they_would_be_unknown() -> None:
    world = with_new_key(memory_documents())
    without_the_old_key(world)
    assert sign_in_statuses(world) == [401] * 7


def test_once_done_it_costs_one_read() -> None:
    budget = Budget()
    world = with_new_key(memory_documents())
    assert claimer(world).renewed(2)
    assert claimer(world, WatchedDocuments(world.documents, budget)).renewed(2)
    assert budget.taken() == {"get": 1}


def test_a_run_ends_in_time_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    world = with_new_key(memory_documents())
    monkeypatch.setattr(claims, "_RUN", 0.5)
    rounds = 0

    def late(name: str, _: int) -> None:
        nonlocal rounds
        if name == "query":
            rounds += 1
            world.clock.advance(seconds=1)

    watched = WatchedDocuments(world.documents, late)
    assert [claimer(world, watched).renewed(2) for _ in range(4)] == [False, False, True, True]
    assert rounds == 3
    without_the_old_key(world)
    assert sign_in_statuses(world) == [200] * 7


@pytest.mark.proof
@pytest.mark.parametrize("moment", ["get", "after get", "query", "commit", "after commit"])
@pytest.mark.parametrize("call", range(6))
def test_a_run_that_is_cut_off_anywhere_is_finished_by_the_next(moment: str, call: int) -> None:
    world = with_new_key(memory_documents())
    count = 0

    def cut(name: str, _: int) -> None:
        nonlocal count
        if name == moment:
            count += 1
            if count == call + 1:
                raise Unavailable

    watched = WatchedDocuments(world.documents, cut)
    try:
        claimer(world, watched).renewed(2)
    except Unavailable:
        assert claimer(world).renewed(2)
    without_the_old_key(world)
    assert sign_in_statuses(world) == [200] * 7
    assert len(world.documents.query("emails")) == 14


def test_who_is_erased_meanwhile_leaves_no_claim_behind(world: World) -> None:
    between, documents = Between(), world.documents
    world = with_new_key(documents)
    users = documents.query("users", order=[("__name__", "ASCENDING")])
    between.arm(lambda: documents.commit([Delete(users[1].path)]))
    assert claimer(world, WatchedDocuments(documents, between)).renewed(2)
    owners = [one.data["user"] for one in documents.query("emails")]
    assert owners.count(users[1].id) == 1, "the old one, which the erasing of an account takes"
    assert owners.count(users[0].id) == owners.count(users[2].id) == 2
    # The address can be signed up with again.
    email = str(users[1].data["email"])
    without_the_old_key(world)
    world.register(email, "a new password")
    assert world.post("/login", email=email, password="a new password").status_code == 200


def test_who_changes_his_address_meanwhile_is_claimed_by_the_new_one(world: World) -> None:
    between, documents = Between(), world.documents
    world = with_new_key(documents)
    users = documents.query("users", order=[("__name__", "ASCENDING")])
    change = Update(users[0].path, {"email": "new@example.org"})
    between.arm(lambda: documents.commit([change]))
    assert claimer(world, WatchedDocuments(documents, between)).renewed(2)
    without_the_old_key(world)
    assert world.post("/login", email="new@example.org", password=PASSWORD).status_code == 200


def test_a_user_without_an_address_is_passed_over() -> None:
    """What is left of an account that was erased."""
    world = with_new_key(memory_documents())
    (user, *_) = world.documents.query("users")
    world.documents.commit([Update(user.path, remove=("email",))])
    assert claimer(world).renewed(2)
    assert len(world.documents.query("emails")) == 13


def test_two_runs_at_once_do_the_work_once(world: World) -> None:
    world = with_new_key(world.documents)
    assert at_once(2, lambda _: claimer(world).renewed(2)) == [True, True]
    assert len(world.documents.query("emails")) == 14
    without_the_old_key(world)
    assert sign_in_statuses(world) == [200] * 7


def test_a_key_that_this_process_does_not_know_yet_is_waited_for() -> None:
    world = with_new_key(memory_documents())
    with pytest.raises(Unavailable):
        claimer(world).renewed(3)
    assert world.documents.query("migrations") == []
