"""Guessing is bounded per source, per account and for both; the owner is never locked out."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Response

from shared.errors import Unavailable
from tests.fixtures.api import refusal
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.fixtures.stores import patient as patient
from tests.identity.world import HOME, PASSWORD, World, at_once, json_of

pytestmark = pytest.mark.usefixtures("patient")
EVE = "203.0.113.7"


def guess(
    world: World, source: str = EVE, email: str = "ada@example.org", password: str = "wrong horse"
) -> Response:
    return world.post("/login", source=source, email=email, password=password)


def statuses(answers: Any) -> dict[int, int]:
    found: dict[int, int] = {}
    for answer in answers:
        found[answer.status_code] = found.get(answer.status_code, 0) + 1
    return found


def test_of_a_hundred_guesses_at_once_exactly_the_limit_is_tried(world: World) -> None:
    world.register()
    answers = at_once(16, lambda _: [guess(world) for _ in range(6)])
    tried = statuses(answer for few in answers for answer in few)
    # A guess that found too many others hashing was counted as well.
    assert tried[401] + tried.get(503, 0) == 20
    assert tried[429] == 76


def test_who_guesses_too_often_is_told_when_to_come_again(world: World) -> None:
    world.register()
    for _ in range(20):
        assert guess(world).status_code == 401
    refused = guess(world, password=PASSWORD)
    assert refused.status_code == 429
    assert json_of(refused)["type"] == "/problems/too-many-requests"
    world.clock.advance(seconds=int(refused.headers["Retry-After"]))
    assert guess(world, password=PASSWORD).status_code == 200


def test_an_unknown_address_is_limited_to_the_letter_like_a_known_one(world: World) -> None:
    world.register()
    seen = []
    for email in ("ada@example.org", "nobody@example.org"):
        answers = [guess(world, email=email) for _ in range(22)]
        seen.append([refusal(answer) for answer in answers])
    assert seen[0] == seen[1]


def test_one_attacker_locks_nobody_out_and_not_even_a_new_device(world: World) -> None:
    world.signed_in()
    for _ in range(100):
        guess(world)
    assert guess(world, HOME, password=PASSWORD).status_code == 200
    assert guess(world, "192.0.2.9", password=PASSWORD).status_code == 200


def test_many_attackers_slow_strangers_down_and_never_the_owner_at_home(world: World) -> None:
    world.signed_in()
    for number in range(60):
        guess(world, f"203.0.113.{number}")
    assert guess(world, "192.0.2.9", password=PASSWORD).status_code == 429
    for _ in range(30):
        assert guess(world, HOME, password=PASSWORD).status_code == 200
    # Away from home, his mailbox lets him in: who resets is no stranger.
    assert world.post("/password-reset", email="ada@example.org").status_code == 202
    token = world.token("reset-password")
    answer = world.post(
        "/password-reset/confirm", source="192.0.2.9", token=token, password="staple battery"
    )
    assert answer.status_code == 204
    assert guess(world, "192.0.2.9", password="staple battery").status_code == 200


def test_a_source_that_signed_in_is_known_there_and_for_this_account_only(world: World) -> None:
    world.signed_in()
    world.register("eve@example.org")
    world.login("eve@example.org")
    for number in range(60):
        guess(world, f"203.0.113.{number}")
        guess(world, f"203.0.113.{number}", "eve@example.org")
    world.post("/login", source="192.0.2.9", email="eve@example.org", password=PASSWORD)
    assert guess(world, "192.0.2.9", password=PASSWORD).status_code == 429
    assert guess(world, HOME, password=PASSWORD).status_code == 200
    world.clock.advance(days=30)
    for number in range(60):
        guess(world, f"203.0.113.{number}")
    assert guess(world, HOME, password=PASSWORD).status_code == 429


def test_right_passwords_use_up_nothing(world: World) -> None:
    world.register()
    for _ in range(70):
        world.login()
    assert guess(world, HOME).status_code == 401


def test_a_neighbour_in_the_same_network_of_the_sixth_is_the_same_source(world: World) -> None:
    world.register()
    for number in range(20):
        assert guess(world, f"2001:db8:1:2::{number:x}").status_code == 401
    assert guess(world, "2001:db8:1:2:ffff::1").status_code == 429
    assert guess(world, "2001:db8:1:3::1").status_code == 401


def test_claims_about_where_one_comes_from_do_not_help(world: World) -> None:
    world.register()
    for number in range(25):
        last = guess(world, f"10.0.0.{number}, 198.18.{number}.1, {EVE}")
    assert last.status_code == 429


def test_one_source_tries_a_bounded_number_of_accounts() -> None:
    world = World(people=2)
    tried = statuses(guess(world, email=f"user{n}@example.org") for n in range(15))
    assert tried == {401: 10, 429: 5}
    assert guess(world, HOME, "user20@example.org").status_code == 401


def test_one_source_makes_a_bounded_number_of_accounts() -> None:
    world = World(people=3)
    answers = [world.register(f"user{n}@example.org", source=EVE) for n in range(5)]
    assert [answer.status_code for answer in answers] == [202] * 3 + [429] * 2
    assert len(world.documents.query("users")) == 3
    assert world.register("bob@example.org").status_code == 202


def test_a_mailbox_is_not_flooded_and_nobody_is_told(world: World) -> None:
    world.register()
    for number in range(40):
        answer = world.post(
            "/password-reset", source=f"203.0.113.{number % 4}", email="ada@example.org"
        )
        assert answer.status_code == 202
        assert world.register(source=f"203.0.113.{number % 4}").status_code == 202
    assert len(world.deliver_mails()) == 15
    # The owner, whose own request sends none now, has links that are good.
    token = world.token("reset-password")
    answer = world.post("/password-reset/confirm", token=token, password="staple battery")
    assert answer.status_code == 204


def test_links_are_tried_a_bounded_number_of_times() -> None:
    world = World(people=1)
    world.register()
    token = world.token("verify-email")
    answers = [
        world.post("/verify-email", token=token, password=f"guess number {n}") for n in range(8)
    ]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 3


def test_who_stole_a_token_guesses_the_password_a_bounded_number_of_times(world: World) -> None:
    tokens = world.signed_in()
    answers = [
        world.post(
            "/password",
            bearer=tokens["accessToken"],
            currentPassword=f"guess {n}",
            newPassword="staple battery horse",
        )
        for n in range(12)
    ]
    assert [answer.status_code for answer in answers] == [422] * 10 + [429] * 2
    # Refreshing goes on, and signing in too: nobody is locked out by it.
    assert world.refresh(tokens["refreshToken"]).status_code == 200
    assert guess(world, HOME, password=PASSWORD).status_code == 200


def test_a_session_is_refreshed_a_bounded_number_of_times(world: World) -> None:
    tokens = world.signed_in()
    answers = [world.refresh(tokens["refreshToken"]) for _ in range(130)]
    assert [answer.status_code for answer in answers] == [200] * 120 + [429] * 10
    world.clock.advance(minutes=10)
    # Told by 429 that it came too often, the client still has its successor.
    successor = json_of(answers[0])["refreshToken"]
    assert world.refresh(successor).status_code == 200


def test_forged_refresh_tokens_are_not_even_counted(world: World) -> None:
    tokens = world.signed_in()
    session, counter, key, _ = tokens["refreshToken"].split(".")
    before = len(world.documents.query("rateLimits", limit=500))
    for _ in range(150):
        assert world.refresh(f"{session}.{counter}.{key}.{'A' * 43}").status_code == 401
    assert len(world.documents.query("rateLimits", limit=500)) == before
    assert world.refresh(tokens["refreshToken"]).status_code == 200


def test_no_key_of_a_limit_tells_an_address_or_a_source(world: World) -> None:
    world.signed_in()
    guess(world)
    stored = repr([(one.path, one.data) for one in world.documents.query("rateLimits", limit=500)])
    # Three letters that are hexadecimal digits stand in a hash by chance.
    for secret in ("ada@", "example", EVE, HOME):
        assert secret not in stored


@pytest.mark.parametrize("path", ["/login", "/register", "/password-reset"])
def test_without_its_database_the_limiter_lets_nobody_through(path: str) -> None:
    down = [False]

    def watch(name: str, _: int) -> None:
        if down[0] and name == "count":
            raise Unavailable

    world = World(WatchedDocuments(memory_documents(), watch))
    world.register()
    down[0] = True
    body = {"email": "ada@example.org"} | ({} if "reset" in path else {"password": PASSWORD})
    answer = world.post(path, **body)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert world.documents.query("sessions") == []
