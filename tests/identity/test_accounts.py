"""Registering and signing in; whether an address is known shows in no answer."""

from __future__ import annotations

import json
from typing import Any, Literal

import argon2
import pytest

from shared.documents import Update
from shared.errors import Unavailable
from shared.identity.passwords import Gate, Passwords
from tests.fixtures.api import refusal
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.identity.world import HMAC, PASSWORD, SIGNING, Between, World, at_once, json_of


def count(world: World, collection: str) -> int:
    return len(world.documents.query(collection, limit=100))


def test_who_registers_can_sign_in_and_is_told_who_he_is(world: World) -> None:
    answer = world.register("Ada@Example.ORG")
    assert (answer.status_code, json_of(answer)) == (202, {"email": "Ada@example.org"})
    tokens = world.login("ada@example.org")
    assert (tokens["tokenType"], tokens["expiresIn"]) == ("Bearer", 600)
    me = json_of(world.call("GET", "/me", bearer=tokens["accessToken"]))
    assert me["email"] == "Ada@example.org"
    assert me["createdAt"] == "2026-11-25T12:00:00Z"
    assert set(me) == {"id", "email", "emailVerified", "name", "createdAt"}
    assert (me["emailVerified"], me["name"]) == (False, "")


def test_a_known_address_is_answered_like_a_new_one_and_keeps_its_password(world: World) -> None:
    first = world.register()
    again = world.register("ADA@example.org", "another password")
    assert again.status_code == first.status_code
    assert json_of(again) == {"email": "ADA@example.org"}
    assert {name for name, _ in again.headers} == {name for name, _ in first.headers}
    assert (count(world, "users"), count(world, "emails")) == (1, 1)
    assert len(world.events("registered")) == 1
    world.login()
    other = world.post("/login", email="ada@example.org", password="another password")
    assert other.status_code == 401


def test_of_many_who_register_an_address_at_once_one_wins(world: World) -> None:
    passwords = [f"password {n}" for n in range(12)]
    answers = at_once(12, lambda n: world.register(password=passwords[n]))
    assert {answer.status_code for answer in answers} == {202}
    assert (count(world, "users"), count(world, "emails")) == (1, 1)
    assert len(world.events("registered")) == 1
    able = [
        world.post("/login", email="ada@example.org", password=one).status_code for one in passwords
    ]
    assert sorted(able) == [200] + [401] * 11


def test_the_event_names_the_user_and_not_the_address(world: World) -> None:
    tokens = world.signed_in()
    (event,) = world.events("registered")
    me = json_of(world.call("GET", "/me", bearer=tokens["accessToken"]))
    assert event["owner"] == me["id"]
    assert "ada" not in json.dumps(event)


def test_no_path_of_a_document_holds_the_address_and_none_holds_the_password() -> None:
    documents = memory_documents()
    world = World(documents)
    world.signed_in()
    stored = [doc for name in ("users", "emails", "sessions") for doc in documents.query(name)]
    assert len(stored) == 3
    assert not any("ada" in doc.path for doc in stored)
    assert PASSWORD not in repr(stored)


def test_an_unknown_address_and_a_wrong_password_are_refused_to_the_letter_alike(
    world: World,
) -> None:
    world.register()
    wrong = world.post("/login", email="ada@example.org", password="wrong horse")
    unknown = world.post("/login", email="eve@example.org", password="wrong horse")
    assert wrong.status_code == 401
    assert refusal(wrong) == refusal(unknown)
    assert count(world, "sessions") == 0


class CountedPasswords(Passwords):
    def __init__(self) -> None:
        super().__init__(memory_kib=8, passes=1)
        self.work: list[str] = []

    def hash(self, password: str) -> str:
        self.work.append("hash")
        return super().hash(password)

    def verify(self, stored: str | None, password: str) -> bool:
        self.work.append("verify")
        return super().verify(stored, password)


def test_known_and_unknown_addresses_cost_the_same_hashes_and_round_trips() -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    counted = CountedPasswords()
    world.service._passwords = counted

    def cost(call: Any) -> tuple[list[str], dict[str, int]]:
        counted.work = []
        call()
        return counted.work, budget.taken()

    first = cost(lambda: world.register())
    assert first == cost(lambda: world.register()) == (["hash"], {"count": 2, "commit": 2})
    known = cost(lambda: world.post("/login", email="ada@example.org", password="wrong"))
    unknown = cost(lambda: world.post("/login", email="eve@example.org", password="wrong"))
    assert known == unknown == (["verify"], {"count": 2, "get": 3})


def test_nobodys_hash_costs_what_a_real_one_costs_and_fits_nothing() -> None:
    passwords = Passwords()
    real = argon2.extract_parameters(passwords.hash("x"))
    assert argon2.extract_parameters(passwords._nobodys) == real
    assert (real.memory_cost, real.time_cost, real.parallelism) == (19 * 1024, 2, 1)
    assert real.type is argon2.Type.ID
    # A hash that could not be read would be refused before any work was done.
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        argon2.PasswordHasher().verify(passwords._nobodys, "x")
    verified: list[str] = []

    class Recorded(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            verified.append(str(hash))
            return super().verify(hash, password)

    passwords._hasher = Recorded()
    assert passwords.verify(None, "x") is False
    assert verified == [passwords._nobodys]


def test_raised_parameters_reach_a_hash_at_the_next_sign_in(world: World) -> None:
    world.signed_in()
    world.service._passwords = stronger = Passwords(memory_kib=16, passes=2)
    world.login()
    (user,) = world.documents.query("users")
    assert argon2.extract_parameters(user.data["passwordHash"]).memory_cost == 16
    assert not stronger.is_outdated(user.data["passwordHash"])
    world.login()
    (after,) = world.documents.query("users")
    assert after.commit_id == user.commit_id


def test_a_password_changed_meanwhile_is_not_overwritten_by_the_old_one() -> None:
    between, documents = Between(), memory_documents()
    world = World(WatchedDocuments(documents, between))
    world.register()
    world.service._passwords = stronger = Passwords(memory_kib=16, passes=2)
    changed = stronger.hash("another password")
    (user,) = documents.query("users")
    between.arm(lambda: documents.commit([Update(user.path, {"passwordHash": changed})]))
    world.login()
    (after,) = documents.query("users")
    assert after.data["passwordHash"] == changed


def test_a_hash_that_cannot_be_renewed_now_keeps_nobody_out() -> None:
    refused = [False]

    def refuse(name: str, _: int) -> None:
        if name == "commit" and refused[0]:
            refused[0] = False
            raise Unavailable

    documents = memory_documents()
    world = World(WatchedDocuments(documents, refuse))
    world.register()
    world.service._passwords = stronger = Passwords(memory_kib=16, passes=2)
    refused[0] = True
    world.login()
    assert stronger.is_outdated(documents.query("users")[0].data["passwordHash"])
    world.login()
    assert not stronger.is_outdated(documents.query("users")[0].data["passwordHash"])


def test_without_a_signing_key_no_session_is_made() -> None:
    world = World()
    world.register()
    world.secrets.disable(world.secrets.versions(SIGNING)[0])
    world.clock.advance(minutes=6)
    assert world.post("/login", email="ada@example.org", password=PASSWORD).status_code == 503
    assert count(world, "sessions") == 0


def test_a_damaged_hash_signs_nobody_in() -> None:
    passwords = Passwords(memory_kib=8, passes=1)
    for stored in ("", "$argon2id$", "$2b$12$abc", "plain"):
        assert passwords.verify(stored, stored) is False


@pytest.mark.parametrize(
    ("password", "status"),
    [
        ("1234567", 422),
        ("1234567x", 202),
        ("12345678", 422),
        ("ﬃ12345", 202),  # Three letters in one: NFKC counts them.
        ("e\u0301" * 7, 422),  # Seven characters, however they are composed.
        ("é" * 7 + "è", 202),
        ("x" * 255 + "y", 202),
        ("x" * 256 + "y", 422),
        ("", 422),
        ("with \0 and \n in it", 202),
    ],
)
def test_a_new_password_has_a_floor_and_a_ceiling(password: str, status: int) -> None:
    world = World()
    answer = world.register(password=password)
    assert answer.status_code == status
    if status == 202:
        world.login(password=password)
    else:
        assert json_of(answer)["errors"][0]["pointer"] == "/password"
        assert count(world, "users") == 0


def test_the_floor_binds_new_passwords_only() -> None:
    world = World()
    world.register(password="1234567x")
    world.floor = 15
    world.start()
    assert world.register("bob@example.org", "1234567x").status_code == 422
    world.login(password="1234567x")


def test_a_password_is_the_same_however_the_keyboard_composed_it() -> None:
    world = World()
    world.register(password="pass\u00e9 ２５６")
    world.login(password="passe\u0301 256")
    answer = world.post("/login", email="ada@example.org", password="passe 256")
    assert answer.status_code == 401


def test_no_refusal_repeats_a_password() -> None:
    world = World()
    for body in (
        {"email": "nobody", "password": "hunter2-hunter2"},
        {"email": "ada@example.org", "password": "hunter2" * 50},
        {"email": "ada@example.org", "password": "hunter2-hunter2", "passwort": "hunter2"},
    ):
        answer = world.call("POST", "/register", body)
        assert answer.status_code == 422
        assert b"hunter2" not in answer.get_data()


def test_beyond_a_short_queue_sign_ins_are_told_when_to_come_again() -> None:
    world = World()
    world.register()
    world.passwords._gate = Gate(at_once=0, waiting=0, patience=0)
    for answer in (
        world.register("bob@example.org"),
        world.post("/login", email="ada@example.org", password=PASSWORD),
        world.post("/login", email="eve@example.org", password=PASSWORD),
    ):
        assert answer.status_code == 503
        assert answer.headers["Retry-After"] == "1"
    assert count(world, "users") == 1


def test_an_account_of_which_the_reply_was_lost_is_made_once_on_the_second_try() -> None:
    lost = [True]

    def lose(name: str, _: int) -> None:
        if name == "after commit" and lost:
            lost.pop()
            raise Unavailable

    world = World(WatchedDocuments(memory_documents(), lose))
    assert world.register().status_code == 503
    assert world.register().status_code == 202
    assert count(world, "users") == 1
    world.login()


def test_the_key_of_addresses_can_be_changed_without_doubling_anybody(world: World) -> None:
    world.register()
    world.secrets.add(HMAC, b"n" * 32, world.clock.now)
    world.clock.advance(hours=1)
    assert world.register().status_code == 202
    assert count(world, "users") == 1
    world.login()
    world.register("bob@example.org")
    assert count(world, "emails") == 3
    # A process that has not heard of the new key meets the same claim.
    world.secrets.disable(world.secrets.versions(HMAC)[0])
    world.start()
    world.register("bob@example.org")
    assert count(world, "users") == 2
    world.login("bob@example.org")


@pytest.mark.parametrize("path", ["/register", "/login"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "ada@example.org"},
        {"email": "ada@example.org", "password": None},
        {"email": "ada@example.org", "password": ["correct horse"]},
        {"email": {"$ne": ""}, "password": PASSWORD},
        {"email": "ada@example.org", "password": PASSWORD, "id": "x"},
        {"email": "../users/x", "password": PASSWORD},
    ],
)
def test_what_are_no_credentials_is_refused_before_the_store_is_asked(
    path: str, body: dict[str, Any]
) -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    assert world.call("POST", path, body).status_code == 422
    assert budget.taken() == {}
