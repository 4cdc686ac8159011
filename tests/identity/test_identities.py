"""Linking and unlinking: by the owner alone, with a proof that is fresh and of this session, and
never so that nobody gets in any more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

import pytest
from flask import Response

from shared.documents import Delete, DocumentStore, Update
from shared.errors import Unavailable
from shared.identity.identities import MOST
from shared.identity.proofs import LIFETIME
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.fixtures.stores import patient as patient
from tests.fixtures.web import Web
from tests.identity.test_session_list import status
from tests.identity.test_sign_in import (
    OTHER,
    Issuer,
    finish,
    how,
    issuer,
    keys,
    me,
    product,
    quick,
    sign_in,
    start,
)
from tests.identity.world import PASSWORD, Between, World, at_once, json_of

__all__ = ["issuer", "keys", "quick"]
BOB = {"sub": "20769150350006150715113082367", "email": "bob@gmail.com"}


class Overtaken:
    """For WatchedDocuments: does what it is armed with before the call that is the `moment`th
    from then on."""

    def __init__(self, moment: int) -> None:
        self._left = moment
        self.other: Callable[[], object] | None = None

    def arm(self, other: Callable[[], object]) -> None:
        self.other = other

    def __call__(self, name: str, _: int) -> None:
        if self.other is None or name.startswith("after"):
            return
        self._left -= 1
        if not self._left:
            other, self.other = self.other, None
            other()


def joined(world: World, email: str = "ada@example.org") -> dict[str, Any]:
    """Somebody whose address is confirmed, signed in with the password."""
    world.register(email)
    token = world.token("verify-email")
    assert world.post("/verify-email", token=token, password=PASSWORD).status_code == 204
    return world.login(email)


def begin(world: World, pair: dict[str, Any], password: str = PASSWORD) -> Response:
    return world.post("/identities/start", bearer=pair["accessToken"], password=password)


def give(world: World, pair: dict[str, Any], proof: str, token: str) -> Response:
    return world.post("/identities", bearer=pair["accessToken"], idToken=token, proof=proof)


def link(issuer: Issuer, pair: dict[str, Any], **changes: Any) -> Response:
    begun = json_of(begin(issuer.world, pair))
    return give(issuer.world, pair, begun["proof"], issuer.token(begun["nonce"], **changes))


def ways(world: World, pair: dict[str, Any]) -> dict[str, Any]:
    answer = world.call("GET", "/identities", bearer=pair["accessToken"])
    assert answer.status_code == 200, answer.get_data()
    return json_of(answer)


def unlink(world: World, pair: dict[str, Any], identity: str, password: str = PASSWORD) -> Response:
    path = f"/identities/{identity}"
    return world.call("DELETE", path, {"password": password}, bearer=pair["accessToken"])


def fields(answer: Response) -> list[str]:
    assert answer.status_code == 422, answer.get_data()
    return [one["pointer"] for one in json_of(answer)["errors"]]


def test_an_identity_is_linked_seen_used_and_unlinked(issuer: Issuer) -> None:
    world = issuer.world
    ada, phone = joined(world), world.login()
    assert ways(world, ada) == {"hasPassword": True, "items": []}
    answer = link(issuer, ada, **BOB)
    assert answer.status_code == 200, answer.get_data()
    (seen,) = ways(world, ada)["items"]
    assert seen == json_of(answer)
    assert (seen["issuer"], seen["email"]) == (issuer.issuer, "bob@gmail.com")
    assert how(world) == ["asked"]
    assert status(world, phone) == (200, 200), "who is signed in stays so"

    by_it = json_of(sign_in(issuer, **BOB))
    assert me(world, sign_in(issuer, **BOB))["email"] == "ada@example.org"
    assert unlink(world, ada, seen["id"]).status_code == 204
    assert ways(world, ada)["items"] == []
    assert status(world, ada)[0] == 200, "the session in use stays"
    assert status(world, phone) == status(world, by_it) == (401, 401)
    (told,) = world.events("identity-unlinked")
    assert told["issuer"] == issuer.issuer
    subjects = [mail.subject for mail in world.deliver_mails()]
    assert sorted(subjects) == [
        "Another way to sign in to Snaptask",
        "One way less to sign in to Snaptask",
    ]


def test_what_was_unlinked_opens_the_account_only_after_it_was_linked_again(issuer: Issuer) -> None:
    """Although the issuer vouches for the account's own address."""
    world = issuer.world
    ada = joined(world, "ada@gmail.com")
    identity = json_of(link(issuer, ada))["id"]
    assert unlink(world, ada, identity).status_code == 204
    assert sign_in(issuer).status_code == 403
    assert link(issuer, ada).status_code == 200
    assert me(world, sign_in(issuer))["email"] == "ada@gmail.com"
    assert how(world) == ["asked", "asked"]


def test_what_was_unlinked_may_open_an_account_of_its_own(quick: Issuer) -> None:
    world = quick.world
    ada = joined(world)
    assert unlink(world, ada, json_of(link(quick, ada, **BOB))["id"]).status_code == 204
    assert me(world, sign_in(quick, **BOB))["email"] == "bob@gmail.com"
    assert ways(world, ada)["items"] == []


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": "another.apps.example"},
        {"azp": "another.apps.example"},
        {"nonce": "x"},
        {"nonce": ...},
        {"sub": ...},
        {"exp": 0},
        {"iat": 9999999999},
        {"key": OTHER},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_token_that_proves_nothing_links_nothing_and_signs_nobody_out(
    quick: Issuer, changes: dict[str, Any]
) -> None:
    ada = joined(quick.world)
    assert fields(link(quick, ada, **changes)) == ["/proof"]
    assert ways(quick.world, ada)["items"] == []
    assert quick.world.documents.query("signInProofs") == []
    assert status(quick.world, ada) == (200, 200)


def test_what_is_begun_in_a_session_is_ended_in_it(quick: Issuer) -> None:
    """Else who lures somebody to the end of a linking of his own gets into her account."""
    world = quick.world
    ada, phone, eve = joined(world), world.login(), joined(world, "eve@example.org")
    begun = json_of(begin(world, eve))
    token = quick.token(begun["nonce"])
    for other in (ada, phone):
        assert fields(give(world, other, begun["proof"], token)) == ["/proof"]
    # Nor is a linking a sign-in, or the other way round.
    assert finish(world, begun["proof"], token).status_code == 401
    anybodys = start(world)
    own = quick.token(anybodys["nonce"])
    assert fields(give(world, ada, anybodys["proof"], own)) == ["/proof"]
    assert give(world, eve, begun["proof"], token).status_code == 200


def changed(world: World, pair: dict[str, Any]) -> Response:
    """His password, so that what was done with the old one is over."""
    body = {"currentPassword": PASSWORD, "newPassword": "another battery staple"}
    return world.post("/password", bearer=pair["accessToken"], **body)


def test_a_linking_that_was_begun_with_another_password_is_over(issuer: Issuer) -> None:
    world = issuer.world
    ada = joined(world)
    begun = json_of(begin(world, ada))
    assert changed(world, ada).status_code == 204
    assert fields(give(world, ada, begun["proof"], issuer.token(begun["nonce"]))) == ["/proof"]
    assert ways(world, ada)["items"] == []


def test_who_is_thrown_out_while_the_issuer_is_asked_leaves_no_door_open(keys: Web) -> None:
    """He has the password and a session; she sets another one while his linking is under way."""
    between = Between()
    quick = product(keys, WatchedDocuments(memory_documents(), between))
    world = quick.world
    hers, thiefs = joined(world), world.login()
    begun = json_of(begin(world, thiefs))
    token, answers = quick.token(begun["nonce"], **BOB), []
    # His request has been let in already, and its first commit uses the proof up.
    between.arm(lambda: answers.append(changed(world, hers).status_code))
    refused = give(world, thiefs, begun["proof"], token)
    assert answers == [204]
    assert fields(refused) == ["/proof"]
    assert ways(world, hers)["items"] == []
    assert sign_in(quick, **BOB).status_code == 200
    assert me(world, sign_in(quick, **BOB))["email"] == "bob@gmail.com"


def test_a_proof_is_good_once_and_for_ten_minutes(issuer: Issuer) -> None:
    world = issuer.world
    ada = joined(world)
    begun = json_of(begin(world, ada))
    assert give(world, ada, begun["proof"], issuer.token(begun["nonce"])).status_code == 200
    replayed = issuer.token(begun["nonce"], **BOB)
    assert fields(give(world, ada, begun["proof"], replayed)) == ["/proof"]
    late = json_of(begin(world, ada))
    world.clock.now += LIFETIME
    ada = json_of(world.refresh(ada["refreshToken"]))
    assert fields(give(world, ada, late["proof"], issuer.token(late["nonce"], **BOB))) == ["/proof"]
    assert len(ways(world, ada)["items"]) == 1


def test_whoever_lost_the_answer_gets_the_same_again(issuer: Issuer) -> None:
    world = issuer.world
    ada = joined(world)
    begun = json_of(begin(world, ada))
    token = issuer.token(begun["nonce"])
    first = give(world, ada, begun["proof"], token)
    again = give(world, ada, begun["proof"], token)
    assert json_of(again) == json_of(first)
    assert how(world) == ["asked"]


@pytest.mark.parametrize("moment", ["commit", "after commit"])
@pytest.mark.parametrize("call", range(2))
def test_cut_off_anywhere_it_is_linked_whole_or_not_at_all(
    keys: Web, moment: str, call: int
) -> None:
    count, armed = -1, False

    def cut(name: str, _: int) -> None:
        nonlocal count
        count += armed and name == moment
        if armed and count == call and name == moment:
            raise Unavailable

    quick = product(keys, WatchedDocuments(memory_documents(), cut))
    world = quick.world
    ada = joined(world)
    begun = json_of(begin(world, ada))
    token, armed = quick.token(begun["nonce"]), True
    assert give(world, ada, begun["proof"], token).status_code == 503
    is_linked = bool(ways(world, ada)["items"])
    assert len(world.events("identity-linked")) == is_linked
    assert link(quick, ada).status_code == 200
    assert how(world) == ["asked"]


@pytest.mark.usefixtures("patient")
def test_the_same_eight_times_at_once_is_linked_once(issuer: Issuer) -> None:
    world = issuer.world
    ada = joined(world)
    begun = [json_of(begin(world, ada)) for _ in range(8)]

    def one(index: int) -> int:
        token = issuer.token(begun[index]["nonce"])
        return give(world, ada, begun[index]["proof"], token).status_code

    assert set(at_once(8, one)) <= {200, 503}
    assert len(ways(world, ada)["items"]) == 1
    assert how(world) == ["asked"]


@pytest.mark.parametrize("is_same", [True, False], ids=["same account", "another"])
def test_who_is_faster_at_any_moment_of_a_linking_stays_the_one(keys: Web, is_same: bool) -> None:
    """Before each call of the store in turn."""
    for moment in count(1):
        overtaken = Overtaken(moment)
        quick = product(keys, WatchedDocuments(memory_documents(), overtaken))
        world = quick.world
        slow, other = joined(world), joined(world, "eve@example.org")
        fast = slow if is_same else other
        first, last = json_of(begin(world, fast)), json_of(begin(world, slow))
        token = quick.token(first["nonce"])
        overtaken.arm(partial(give, world, fast, first["proof"], token))
        answer = give(world, slow, last["proof"], quick.token(last["nonce"]))
        if overtaken.other is not None:
            break
        assert answer.status_code == (200 if is_same else 409), moment
        assert len(ways(world, fast)["items"]) == 1, moment
        assert how(world) == ["asked"], moment
    assert moment > 6, "there were as many calls as moments"


@pytest.mark.usefixtures("patient")
def test_of_two_accounts_at_once_one_gets_it_and_the_other_is_told(issuer: Issuer) -> None:
    world = issuer.world
    people = [joined(world), joined(world, "eve@example.org")]
    begun = [json_of(begin(world, one)) for one in people]

    def one(index: int) -> int:
        token = issuer.token(begun[index]["nonce"])
        return give(world, people[index], begun[index]["proof"], token).status_code

    assert sorted(at_once(2, one)) == [200, 409]
    assert sorted(len(ways(world, one)["items"]) for one in people) == [0, 1]


def test_an_identity_of_another_account_is_refused_without_a_word_about_it(issuer: Issuer) -> None:
    world = issuer.world
    owner, eve = joined(world), joined(world, "eve@example.org")
    assert link(issuer, owner).status_code == 200
    refused = link(issuer, eve)
    assert refused.status_code == 409
    assert b"example.org" not in refused.get_data()
    assert me(world, sign_in(issuer))["email"] == "ada@example.org"
    assert ways(world, eve)["items"] == []


def test_the_identity_of_an_erased_account_is_free_again(quick: Issuer) -> None:
    world = quick.world
    gone, eve = joined(world), joined(world, "eve@example.org")
    assert link(quick, gone).status_code == 200
    user = json_of(world.call("GET", "/me", bearer=gone["accessToken"]))["id"]
    world.documents.commit([Delete(f"users/{user}")])
    assert link(quick, eve).status_code == 200


def test_the_password_is_asked_for_and_guessing_it_is_limited(quick: Issuer) -> None:
    world = quick.world
    ada = joined(world)
    identity = json_of(link(quick, ada))["id"]
    assert fields(unlink(world, ada, identity, "a wrong one")) == ["/password"]
    answers = [begin(world, ada, "a wrong one").status_code for _ in range(10)]
    assert answers[0] == 422
    assert answers[-1] == 429
    assert len(ways(world, ada)["items"]) == 1


def test_the_only_way_in_stays(issuer: Issuer) -> None:
    world = issuer.world
    ada = json_of(sign_in(issuer))
    told = ways(world, ada)
    assert told["hasPassword"] is False
    (identity,) = told["items"]
    assert unlink(world, ada, identity["id"]).status_code == 409
    assert unlink(world, ada, identity["id"], "").status_code == 422
    # A stolen session cannot add a way in either.
    assert begin(world, ada).status_code == 409
    assert me(world, sign_in(issuer))["email"] == "ada@gmail.com"
    assert world.post("/password-reset", email="ada@gmail.com").status_code == 202
    token = world.token("reset-password")
    assert world.post("/password-reset/confirm", token=token, password=PASSWORD).status_code == 204
    ada = world.login("ada@gmail.com")
    assert ways(world, ada)["hasPassword"] is True
    assert unlink(world, ada, identity["id"]).status_code == 204


def test_who_lies_in_wait_in_an_account_cannot_leave_a_door_open(quick: Issuer) -> None:
    """Signed up with her address, which she never confirmed, he links himself and waits."""
    world = quick.world
    world.register("ada@gmail.com", "the attacker's own")
    attacker = world.login("ada@gmail.com", "the attacker's own")
    assert begin(world, attacker, "the attacker's own").status_code == 409
    assert world.documents.query("identities") == []


def test_an_identity_that_is_not_his_is_missing(quick: Issuer) -> None:
    world = quick.world
    ada, eve = joined(world), joined(world, "eve@example.org")
    identity = json_of(link(quick, ada))["id"]
    theirs, nobodys = unlink(world, eve, identity), unlink(world, eve, "a" * 20)
    assert theirs.status_code == nobodys.status_code == 404
    assert unlink(world, ada, identity).status_code == 204
    assert unlink(world, ada, identity).status_code == 404
    assert unlink(world, ada, "../users").status_code == 404


@pytest.mark.usefixtures("patient")
def test_unlinked_twice_at_once_it_is_unlinked_once(issuer: Issuer) -> None:
    world = issuer.world
    ada = joined(world)
    identity = json_of(link(issuer, ada))["id"]
    answers = at_once(4, lambda _: unlink(world, ada, identity).status_code)
    assert answers.count(204) == 1
    assert set(answers) <= {204, 404, 409}
    assert len(world.events("identity-unlinked")) == 1


def test_a_sign_in_under_way_while_it_is_unlinked_opens_a_dead_session(keys: Web) -> None:
    between = Between()
    quick = product(keys, WatchedDocuments(memory_documents(), between))
    world = quick.world
    ada = joined(world)
    identity = json_of(link(quick, ada))["id"]
    begun = start(world)
    token = quick.token(begun["nonce"])
    # The first commit uses the proof up; the one that is waited for starts the session.
    between.arm(lambda: between.arm(lambda: unlink(world, ada, identity)))
    answer = finish(world, begun["proof"], token)
    assert answer.status_code == 200
    assert ways(world, ada)["items"] == []
    assert status(world, json_of(answer)) == (401, 401)


def test_an_account_that_is_being_erased_links_nothing(quick: Issuer) -> None:
    world = quick.world
    ada = joined(world)
    begun = json_of(begin(world, ada))
    user = json_of(world.call("GET", "/me", bearer=ada["accessToken"]))["id"]
    world.documents.commit([Update(f"users/{user}", {"erasingAt": world.clock.now})])
    answer = give(world, ada, begun["proof"], quick.token(begun["nonce"]))
    assert answer.status_code == 401
    assert world.documents.query("identities") == []


def test_an_account_has_so_many_and_no_more(quick: Issuer) -> None:
    world = quick.world
    world.attempts.confirm = lambda user: None  # type: ignore[method-assign, assignment]
    world.attempts.confirmed = lambda reserved: None  # type: ignore[method-assign]
    ada = joined(world)
    for number in range(MOST):
        assert link(quick, ada, sub=f"{number}").status_code == 200
    assert link(quick, ada, sub="another").status_code == 409
    assert len(ways(world, ada)["items"]) == MOST


def test_where_no_issuer_is_configured_there_is_nothing_to_link() -> None:
    world = World()
    ada = joined(world)
    assert begin(world, ada).status_code == 404
    assert give(world, ada, "x", "x").status_code == 404
    assert ways(world, ada) == {"hasPassword": True, "items": []}


def test_the_store_meets_both_at_one_moment(documents: DocumentStore, keys: Web) -> None:
    """A sign-in reads the link, then the owner: between the two it is unlinked."""
    quick = product(keys, documents)
    world = quick.world
    ada = joined(world)
    identity = json_of(link(quick, ada))["id"]
    real, done = documents.get, []

    def get(path: str) -> Any:
        found = real(path)
        if path == f"identities/{identity}" and not done:
            done.append(path)
            assert unlink(world, ada, identity).status_code == 204
        return found

    documents.get = get  # type: ignore[method-assign]
    try:
        answer = sign_in(quick)
    finally:
        documents.get = real  # type: ignore[method-assign]
    assert done
    if answer.status_code == 200:
        opened = me(world, answer)
        assert opened["email"] != "ada@example.org"
