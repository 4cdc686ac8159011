"""Refreshing by rotation: one lineage whatever is lost, doubled or stolen."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

from shared.documents import Delete, Document
from shared.errors import Unavailable
from shared.identity.sessions import GRACE, IDLE, LONGEST
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.identity.world import HMAC, Between, World, at_once, json_of


def session_of(world: World) -> Document:
    (session,) = world.documents.query("sessions")
    return session


def renewed(world: World, token: str) -> str:
    answer = world.refresh(token)
    assert answer.status_code == 200, answer.get_data()
    successor: str = json_of(answer)["refreshToken"]
    return successor


def test_each_refresh_gives_the_next_pair(world: World) -> None:
    token = world.signed_in()["refreshToken"]
    seen = {token}
    for _ in range(3):
        world.clock.advance(minutes=9)
        answer = json_of(world.refresh(token))
        token = answer["refreshToken"]
        assert token not in seen
        seen.add(token)
        me = world.call("GET", "/me", bearer=answer["accessToken"])
        assert me.status_code == 200
    assert session_of(world).data["counter"] == 3


def test_fifty_refreshes_of_one_token_at_once_have_one_successor(world: World) -> None:
    token = world.signed_in()["refreshToken"]
    answers = at_once(50, lambda _: world.refresh(token))
    assert {answer.status_code for answer in answers} == {200}
    successors = {json_of(answer)["refreshToken"] for answer in answers}
    assert len(successors) == 1
    assert session_of(world).data["counter"] == 1
    renewed(world, successors.pop())


def test_a_request_that_another_overtook_gives_what_the_other_gave() -> None:
    between = Between()
    world = World(WatchedDocuments(memory_documents(), between))
    token = world.signed_in()["refreshToken"]
    others: list[str] = []
    between.arm(lambda: others.append(renewed(world, token)))
    assert [renewed(world, token)] == others
    assert session_of(world).data["counter"] == 1


def test_a_request_that_two_others_overtook_turns_no_counter_back() -> None:
    between = Between()
    world = World(WatchedDocuments(memory_documents(), between))
    token = world.signed_in()["refreshToken"]
    between.arm(lambda: renewed(world, renewed(world, token)))
    assert world.refresh(token).status_code == 401
    assert session_of(world).data["counter"] == 2


def test_a_refresh_that_signing_out_overtook_gives_nothing() -> None:
    between = Between()
    world = World(WatchedDocuments(memory_documents(), between))
    token = world.signed_in()["refreshToken"]
    between.arm(lambda: world.post("/logout", refreshToken=token))
    assert world.refresh(token).status_code == 401
    assert session_of(world).data["revokedFor"] == "logout"


def test_a_parent_within_the_grace_is_given_the_same_successor_again(world: World) -> None:
    token = world.signed_in()["refreshToken"]
    successor = renewed(world, token)
    world.clock.now += GRACE
    before = session_of(world).commit_id
    assert renewed(world, token) == successor
    assert session_of(world).commit_id == before


def test_a_parent_after_the_grace_ends_the_session_for_everybody(world: World) -> None:
    tokens = world.signed_in()
    successor = renewed(world, tokens["refreshToken"])
    world.clock.now += GRACE + timedelta(milliseconds=1)
    assert world.refresh(tokens["refreshToken"]).status_code == 401
    assert world.refresh(successor).status_code == 401
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
    # Signing out afterwards does not cover it up.
    assert world.post("/logout", refreshToken=successor).status_code == 204
    assert session_of(world).data["revokedFor"] == "reuse"
    (event,) = world.events("session-ended")
    assert event["reason"] == "reuse"


def test_a_grandparent_ends_the_session_even_within_the_grace(world: World) -> None:
    first = world.signed_in()["refreshToken"]
    second = renewed(world, first)
    third = renewed(world, second)
    assert world.refresh(first).status_code == 401
    assert world.refresh(third).status_code == 401
    assert [event["reason"] for event in world.events("session-ended")] == ["reuse"]


def test_a_thief_ends_one_session_and_no_other(world: World) -> None:
    stolen = world.signed_in()["refreshToken"]
    other = world.login()["refreshToken"]
    renewed(world, renewed(world, stolen))
    assert world.refresh(stolen).status_code == 401
    renewed(world, other)


def forgeries(token: str) -> list[str]:
    session, counter, key, mac = token.split(".")
    flipped = ("A" if mac[0] != "A" else "B") + mac[1:]
    # The last character of a MAC holds two bits that say nothing.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    padded = mac[:-1] + alphabet[alphabet.index(mac[-1]) ^ 1]
    return [
        f"{session}.{counter}.{key}.{flipped}",
        f"{session}.{counter}.{key}.{padded}",
        f"{session}.{int(counter) + 1}.{key}.{mac}",
        f"{session}.0{counter}.{key}.{mac}",
        f"{session}.{counter}.2.{mac}",
        f"{session}.{counter}.0.{mac}",
        f"{'a' * 20}.{counter}.{key}.{mac}",
        f"{session.upper()}.{counter}.{key}.{mac}",
        f"../users.{counter}.{key}.{mac}",
        f"{session}.{counter}.{key}",
        f"{session}.{counter}.{key}.",
        f"{token}.{mac}",
        f"{token} ",
        f"{token}\n",
        f"{session}.٠.{key}.{mac}",
        f"{session}.{'9' * 30}.{key}.{mac}",
        "",
        "x",
    ]


def test_a_forged_token_is_refused_and_touches_nothing() -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    token = renewed(world, world.signed_in()["refreshToken"])
    before = session_of(world)
    budget.taken()
    for forged in forgeries(token):
        assert world.refresh(forged).status_code == 401, forged
        assert world.post("/logout", refreshToken=forged).status_code == 204, forged
    assert budget.taken() == {}
    assert session_of(world) == before
    assert world.events("session-ended") == []
    renewed(world, token)


def test_no_character_of_a_token_can_be_changed() -> None:
    world = World()
    token = world.signed_in()["refreshToken"]
    assert world.tokens.read(token) is not None
    for position, present in enumerate(token):
        for char in set("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789-_.= ") - {present}:
            changed = token[:position] + char + token[position + 1 :]
            assert world.tokens.read(changed) is None, changed


def test_a_token_longer_than_any_of_ours_is_no_request() -> None:
    answer = World().refresh("a" * 201)
    assert answer.status_code == 422
    assert b"aaaa" not in answer.get_data()


def test_a_token_of_a_forgotten_future_signs_nobody_in_and_ends_nothing(world: World) -> None:
    token = world.signed_in()["refreshToken"]
    ahead = world.tokens.make(token.partition(".")[0], 5)
    assert world.refresh(ahead).status_code == 401
    renewed(world, token)


def test_an_idle_session_ends_after_a_week(world: World) -> None:
    token = world.signed_in()["refreshToken"]
    world.clock.now += IDLE - timedelta(seconds=1)
    token = renewed(world, token)
    world.clock.now += IDLE
    assert world.refresh(token).status_code == 401


def test_a_busy_session_ends_after_thirty_days(world: World) -> None:
    token = world.signed_in()["refreshToken"]
    began = world.clock.now
    while world.clock.now - began < LONGEST - timedelta(days=1):
        world.clock.advance(days=1)
        token = renewed(world, token)
    assert session_of(world).data["expireAt"] == began + LONGEST
    world.clock.now = began + LONGEST
    assert world.refresh(token).status_code == 401


def test_signing_out_ends_the_session_at_once_and_any_number_of_times(world: World) -> None:
    tokens = world.signed_in()
    other = world.login()
    for _ in range(2):
        answer = world.post("/logout", refreshToken=tokens["refreshToken"])
        assert (answer.status_code, answer.get_data()) == (204, b"")
    assert world.refresh(tokens["refreshToken"]).status_code == 401
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
    assert world.call("GET", "/me", bearer=other["accessToken"]).status_code == 200


def test_an_old_token_signs_out_too(world: World) -> None:
    first = world.signed_in()["refreshToken"]
    latest = renewed(world, renewed(world, first))
    world.post("/logout", refreshToken=first)
    assert world.refresh(latest).status_code == 401


def test_signing_out_wins_over_refreshes_at_the_same_time(world: World) -> None:
    token = world.signed_in()["refreshToken"]

    def one(index: int) -> tuple[int, str]:
        if index == 10:
            return world.post("/logout", refreshToken=token).status_code, ""
        answer = world.refresh(token)
        return answer.status_code, json_of(answer).get("refreshToken", "")

    answers = at_once(20, one)
    assert {status for status, _ in answers} <= {200, 204, 401}
    assert session_of(world).data["revokedAt"] is not None
    for successor in {successor for _, successor in answers if successor}:
        assert world.refresh(successor).status_code == 401


def test_a_lost_answer_heals() -> None:
    lost: list[str] = []

    def lose(name: str, _: int) -> None:
        if name in lost:
            lost.remove(name)
            raise Unavailable

    world = World(WatchedDocuments(memory_documents(), lose))
    token = world.signed_in()["refreshToken"]
    for moment in ("get", "after get", "commit", "after commit"):
        lost.append(moment)
        assert world.refresh(token).status_code == 503
        token = renewed(world, token)
    assert session_of(world).data["counter"] == 4


def test_a_process_without_signing_keys_uses_no_token_up() -> None:
    world = World()
    token = world.signed_in()["refreshToken"]
    world.start()
    world.macs.current_id()
    world.secrets.broken = True
    assert world.refresh(token).status_code == 503
    assert session_of(world).data["counter"] == 0
    world.secrets.broken = False
    world.clock.advance(minutes=2)
    renewed(world, token)


def test_a_deleted_session_is_over(world: World) -> None:
    tokens = world.signed_in()
    world.documents.commit([Delete(session_of(world).path)])
    assert world.refresh(tokens["refreshToken"]).status_code == 401
    assert world.post("/logout", refreshToken=tokens["refreshToken"]).status_code == 204
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401


def test_a_session_deleted_while_it_is_ended_has_ended() -> None:
    between, documents = Between(), memory_documents()
    world = World(WatchedDocuments(documents, between))
    token = world.signed_in()["refreshToken"]
    between.arm(lambda: documents.commit([Delete(session_of(world).path)]))
    assert world.post("/logout", refreshToken=token).status_code == 204
    assert documents.query("sessions") == []


def test_a_new_key_signs_later_and_the_old_tokens_live_until_theirs_is_disabled() -> None:
    world = World()
    token = world.signed_in()["refreshToken"]
    (old,) = world.secrets.versions(HMAC)
    world.secrets.add(HMAC, b"n" * 32, world.clock.now)
    world.clock.advance(minutes=15)
    token = renewed(world, token)
    assert re.fullmatch(r"[a-z2-7]{20}\.1\.1\..{43}", token)
    world.clock.advance(minutes=6)
    second = renewed(world, token)
    assert re.fullmatch(r"[a-z2-7]{20}\.2\.2\..{43}", second)
    world.secrets.disable(old)
    world.clock.advance(minutes=6)
    assert world.refresh(token).status_code == 401
    renewed(world, second)


def test_a_refresh_takes_a_count_two_reads_and_one_write_and_a_retry_no_write() -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    token = world.signed_in()["refreshToken"]
    budget.taken()
    renewed(world, token)
    assert budget.taken() == {"count": 1, "get": 2, "commit": 1}
    renewed(world, token)
    assert budget.taken() == {"count": 1, "get": 2}


def test_every_tab_keeps_its_session_through_a_storm(world: World) -> None:
    """Five sessions, each refreshed by ten tabs that share a token, three rounds long."""
    world.register()
    tokens = [world.login()["refreshToken"] for _ in range(5)]
    with ThreadPoolExecutor(10) as pool:
        for _ in range(3):
            answers = list(pool.map(partial(renewed, world), tokens * 10))
            tokens = answers[:5]
            assert len(set(answers)) == 5
