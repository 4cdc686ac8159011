"""The database's replies get lost on the wire: nobody is doubled, nobody is signed out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.fixtures.stores import await_recovery, firestore_documents
from tests.fixtures.web import Web
from tests.identity.test_identities import begin, give, joined, unlink, ways
from tests.identity.test_sign_in import keys, product, sign_in
from tests.identity.world import World, at_once, json_of

__all__ = ["keys"]
pytestmark = pytest.mark.emulated


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as made:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", made.address)
        yield made


@pytest.fixture
def world(proxy: FirestoreProxy) -> Iterator[World]:
    with firestore_documents() as documents:
        yield World(documents)


@pytest.mark.parametrize("fault", ["refuse", "lose", "abort"])
def test_registering_and_signing_in_take_effect_once(
    world: World, proxy: FirestoreProxy, fault: Fault
) -> None:
    proxy.order("Commit", fault)
    assert world.register().status_code == 202
    proxy.order("Commit", fault)
    world.login()
    for collection in ("users", "emails", "sessions"):
        assert len(world.documents.query(collection)) == 1
    assert (len(world.events("registered")), len(world.events("session-started"))) == (1, 1)


@pytest.mark.parametrize("fault", ["refuse", "lose", "abort"])
def test_ending_sessions_takes_effect_once(
    world: World, proxy: FirestoreProxy, fault: Fault
) -> None:
    tokens = world.signed_in()
    proxy.order("Commit", fault)
    assert world.post("/logout", refreshToken=tokens["refreshToken"]).status_code == 204
    assert len(world.events("session-ended")) == 1
    tokens = world.login()
    proxy.order("Commit", fault)
    answer = world.call("POST", "/logout-all", bearer=tokens["accessToken"])
    assert answer.status_code == 204
    assert [event["epoch"] for event in world.events("all-sessions-ended")] == [1]


@pytest.mark.parametrize("fault", ["refuse", "lose", "abort"])
def test_a_refresh_takes_effect_once(world: World, proxy: FirestoreProxy, fault: Fault) -> None:
    token = world.signed_in()["refreshToken"]
    for counter in range(1, 4):
        proxy.order("Commit", fault)
        answer = world.refresh(token)
        assert answer.status_code == 200
        token = json_of(answer)["refreshToken"]
        assert token.split(".")[1] == str(counter)


def test_many_refreshes_at_once_stay_one_lineage_while_replies_get_lost(
    world: World, proxy: FirestoreProxy
) -> None:
    token = world.signed_in()["refreshToken"]
    proxy.order("Commit", *(["lose", "none", "abort", "refuse"] * 3))
    answers = at_once(20, lambda _: world.refresh(token))
    assert {answer.status_code for answer in answers} == {200}
    assert len({json_of(answer)["refreshToken"] for answer in answers}) == 1
    (session,) = world.documents.query("sessions")
    assert session.data["counter"] == 1


def test_a_database_out_of_reach_signs_nobody_out(world: World, proxy: FirestoreProxy) -> None:
    tokens = world.signed_in()
    proxy.stop()
    for answer in (
        world.refresh(tokens["refreshToken"]),
        world.call("GET", "/me", bearer=tokens["accessToken"]),
    ):
        assert answer.status_code == 503
    proxy.start()
    await_recovery(world.documents)
    assert world.refresh(tokens["refreshToken"]).status_code == 200


@pytest.mark.parametrize("fault", ["refuse", "lose", "abort"])
def test_linking_and_unlinking_take_effect_once(
    proxy: FirestoreProxy, keys: Web, fault: Fault
) -> None:
    with firestore_documents() as documents:
        issuer = product(keys, documents)
        world = issuer.world
        ada = joined(world)
        begun = json_of(begin(world, ada))
        # The proof is used up, then it is linked.
        proxy.order("Commit", fault, fault)
        answer = give(world, ada, begun["proof"], issuer.token(begun["nonce"]))
        assert answer.status_code == 200, answer.get_data()
        proxy.order("Commit", fault)
        assert json_of(sign_in(issuer))
        proxy.order("Commit", fault)
        assert unlink(world, ada, json_of(answer)["id"]).status_code == 204
        assert ways(world, ada)["items"] == []
        kinds = ("identity-linked", "identity-unlinked")
        assert [len(world.events(kind)) for kind in kinds] == [1, 1]
