"""Who asks for it is given all that is stored about him, and nothing of anybody else."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from flask import Response

from shared.documents import Create, DocumentStore
from shared.errors import Unavailable
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.identity.world import PASSWORD, World, json_of


def user_of(world: World, tokens: dict[str, Any]) -> str:
    return str(json_of(world.call("GET", "/me", bearer=tokens["accessToken"]))["id"])


def ask(world: World, tokens: dict[str, Any]) -> Response:
    return world.call("POST", "/export", bearer=tokens["accessToken"])


def fill(documents: DocumentStore, owner: str, count: int, text: str = "text") -> None:
    for start in range(0, count, 200):
        documents.commit(
            [
                Create(f"tasks/{owner}{number:05d}", {"owner": owner, "title": f"{text} {number}"})
                for number in range(start, min(count, start + 200))
            ]
        )


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
def test_every_document_is_in_it_once(world: World, count: int) -> None:
    tokens = world.signed_in()
    user = user_of(world, tokens)
    fill(world.documents, user, count)
    answer = ask(world, tokens)
    assert (answer.status_code, answer.content_type) == (200, "application/json")
    told = json_of(answer)
    assert set(told) == {"exportedAt", "user", "collections", "complete"}
    assert [one["title"] for one in told["collections"]["tasks"]] == [
        f"text {number}" for number in range(count)
    ]
    assert len(told["collections"]["sessions"]) == 1
    assert told["user"]["email"] == "ada@example.org"
    assert told["user"]["createdAt"] == "2026-11-25T12:00:00Z"


def test_it_holds_no_secret_and_nothing_of_another(world: World) -> None:
    tokens = world.signed_in()
    world.register("bob@example.org")
    bob = world.login("bob@example.org")
    fill(world.documents, user_of(world, bob), 3, "of bob")
    text = ask(world, tokens).get_data(as_text=True)
    for secret in ("passwordHash", "argon2", PASSWORD, "commitId", "bob", user_of(world, bob)):
        assert secret not in text


def test_odd_values_come_through(world: World) -> None:
    tokens = world.signed_in()
    value = {"t": 'ünï ☃ "quoted" \u2028', "b": b"\0\xff", "n": [1, 2.5, None, True]}
    world.documents.commit([Create("tasks/odd", {"owner": user_of(world, tokens), "v": value})])
    (task,) = json_of(ask(world, tokens))["collections"]["tasks"]
    assert task["v"] == value | {"b": "AP8="}


def test_it_asks_by_the_page_and_not_by_the_document() -> None:
    budget = Budget()
    inner = memory_documents()
    world = World(WatchedDocuments(inner, budget))
    tokens = world.signed_in()
    fill(inner, user_of(world, tokens), 250)
    budget.taken()
    assert len(json_of(ask(world, tokens))["collections"]["tasks"]) == 250
    # The session's check and the user, the limit; sessions once, tasks in three pages.
    assert budget.taken() == {"get": 2, "count": 1, "query": 4}


@pytest.mark.proof
def test_its_size_is_nobodys_memory() -> None:
    world = World()
    tokens = world.signed_in()
    fill(world.documents, user_of(world, tokens), 1500, "x" * 10_000)
    answer = ask(world, tokens)
    tracemalloc.start()
    size = sum(len(chunk) for chunk in answer.response)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size > 15_000_000
    assert peak < size / 2


def test_an_outage_before_it_begins_is_told_and_one_in_the_middle_shows() -> None:
    fails_at, asked = [1], [0]

    def watch(name: str, _: int) -> None:
        if name == "query":
            asked[0] += 1
            if asked[0] == fails_at[0]:
                raise Unavailable

    inner = memory_documents()
    world = World(WatchedDocuments(inner, watch))
    tokens = world.signed_in()
    fill(inner, user_of(world, tokens), 250)
    assert ask(world, tokens).status_code == 503
    fails_at[0], asked[0] = 4, 0
    answer = ask(world, tokens)
    assert answer.status_code == 200
    chunks: list[Any] = []
    with pytest.raises(Unavailable):
        chunks.extend(answer.response)
    seen = b"".join(chunks)
    assert seen.startswith(b'{"exportedAt"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(seen)


def test_it_is_given_to_the_owner_only_and_not_all_day() -> None:
    world = World()
    tokens = world.signed_in()
    assert world.call("POST", "/export").status_code == 401
    answers = [ask(world, tokens).status_code for _ in range(12)]
    assert answers == [200] * 10 + [429] * 2
    world.post("/logout", refreshToken=tokens["refreshToken"])
    assert ask(world, tokens).status_code == 401
