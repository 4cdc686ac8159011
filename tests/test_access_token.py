"""Tokens from the metadata server: kept while they are surely good, and through its outages."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared import access_token, cached
from shared.access_token import MetadataIDTokens, MetadataTokens
from shared.errors import Unavailable
from tests.fixtures.emulated import free_port
from tests.fixtures.web import Answer, Asked, Web, as_json, serving

LIFE = 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What both modules take for the machine's monotonic clock."""
    made = Clock()
    monkeypatch.setattr(access_token.time, "monotonic", made)
    monkeypatch.setattr(cached.time, "monotonic", made)
    return made


@pytest.fixture
def server() -> Iterator[Web]:
    count = iter(range(1, 1000))

    def issue(asked: Asked) -> Answer:
        if asked.headers.get("Metadata-Flavor") != "Google":
            return Answer(403)
        return as_json({"access_token": f"t{next(count)}", "expires_in": LIFE})

    with serving(issue) as web:
        yield web


@pytest.fixture
def tokens(server: Web, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> MetadataTokens:
    monkeypatch.setenv("GCE_METADATA_HOST", f"{server.host}/as/media")
    made = MetadataTokens()
    made._kept._clock = clock
    return made


def test_the_functions_own_account_is_asked_for(tokens: MetadataTokens, server: Web) -> None:
    assert tokens.token() == "t1"
    wanted = "/as/media/computeMetadata/v1/instance/service-accounts/default/token"
    assert server.asked[0].path == wanted


def test_a_token_is_kept_and_renewed_long_before_its_end(
    tokens: MetadataTokens, server: Web, clock: Clock
) -> None:
    assert [tokens.token(), tokens.token()] == ["t1", "t1"]
    clock.now += 119
    assert tokens.token() == "t1"
    clock.now += 2
    assert tokens.token() == "t2"
    assert len(server.asked) == 2


def test_an_outage_is_bridged_until_the_token_is_about_to_end(
    tokens: MetadataTokens, server: Web, clock: Clock
) -> None:
    assert tokens.token() == "t1"
    issue, server.answer = server.answer, lambda _: Answer(503)
    clock.now += LIFE - 20
    assert tokens.token() == "t1"
    clock.now += 11
    with pytest.raises(Unavailable):
        tokens.token()
    server.answer = issue
    clock.now += 3
    assert tokens.token() == "t2"


def test_a_server_that_is_away_is_not_asked_at_every_call(
    tokens: MetadataTokens, server: Web, clock: Clock
) -> None:
    tokens.token()
    server.answer = lambda _: Answer(503)
    clock.now += 300
    for _ in range(50):
        assert tokens.token() == "t1"
    assert len(server.asked) == 1 + access_token._TRIES


@pytest.mark.parametrize("lost", [Answer(500), Answer(cut=True), Answer(200, b"{")])
def test_one_lost_answer_is_asked_for_again(
    tokens: MetadataTokens, server: Web, lost: Answer
) -> None:
    answers: list[Any] = [lambda _: lost, server.answer]
    server.answer = lambda asked: answers.pop(0)(asked)
    assert tokens.token() == "t1"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        as_json({"access_token": "t", "expires_in": LIFE}, 500),
        as_json([]),
        as_json({"access_token": "t"}),
        as_json({"expires_in": 1}),
        as_json({"access_token": "t", "expires_in": "soon"}),
        as_json({"access_token": "t", "expires_in": 5}),
    ],
)
def test_what_is_no_token_that_lasts_is_none(
    tokens: MetadataTokens, server: Web, answer: Answer
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(Unavailable):
        tokens.token()


def test_a_short_token_is_renewed_before_it_ends(
    tokens: MetadataTokens, server: Web, clock: Clock
) -> None:
    issue = server.answer
    server.answer = lambda _: as_json({"access_token": "short", "expires_in": 60})
    assert tokens.token() == "short"
    server.answer = issue
    clock.now += 49
    assert tokens.token() == "short"
    clock.now += 2
    assert tokens.token() == "t1"


def test_a_slow_answer_makes_a_token_end_no_later(
    tokens: MetadataTokens, server: Web, clock: Clock
) -> None:
    def dawdle(_: Asked) -> Answer:
        clock.now += 30
        return as_json({"access_token": "t", "expires_in": 39})

    server.answer = dawdle
    with pytest.raises(Unavailable):
        tokens.token()


def test_nobody_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{free_port()}")
    with pytest.raises(Unavailable):
        MetadataTokens().token()


def test_twenty_threads_ask_once(tokens: MetadataTokens, server: Web) -> None:
    with ThreadPoolExecutor(20) as threads:
        assert set(threads.map(lambda _: tokens.token(), range(20))) == {"t1"}
    assert len(server.asked) == 1


# ID tokens, which say themselves when they end


def id_token(life: float, mark: str = "1", **claims: Any) -> bytes:
    said = {"exp": int(time.time() + life), "mark": mark, **claims}
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()) for one in ({}, said)]
    return b".".join([*(part.rstrip(b"=") for part in parts), b"signature"])


@pytest.fixture
def id_tokens(server: Web, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> MetadataIDTokens:
    monkeypatch.setenv("GCE_METADATA_HOST", f"{server.host}/as/thumbnails")
    count = iter(range(1, 1000))
    server.answer = lambda _: Answer(200, id_token(LIFE, str(next(count))))
    made = MetadataIDTokens("https://scanner-abc.a.run.app")
    made._kept._clock = clock
    return made


def test_an_id_token_is_asked_for_its_audience_and_renewed(
    id_tokens: MetadataIDTokens, server: Web, clock: Clock
) -> None:
    first = id_tokens.token()
    path = "/as/thumbnails/computeMetadata/v1/instance/service-accounts/default/identity"
    assert server.asked[0].path == f"{path}?audience=https%3A%2F%2Fscanner-abc.a.run.app"
    assert server.asked[0].headers["Metadata-Flavor"] == "Google"
    assert id_tokens.token() == first
    clock.now += 121
    assert id_tokens.token() != first


def test_an_id_token_bridges_an_outage_until_it_says_it_ends(
    id_tokens: MetadataIDTokens, server: Web, clock: Clock
) -> None:
    first = id_tokens.token()
    server.answer = lambda _: Answer(503)
    clock.now += LIFE - 20
    assert id_tokens.token() == first
    clock.now += 11
    with pytest.raises(Unavailable):
        id_tokens.token()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"no token",
        b"a.b.c",
        b"a.e30.c",
        b"\xff.\xff.\xff",
        b"<html>",
        id_token(5),
        id_token(-LIFE),
        id_token(LIFE, exp="soon"),
        id_token(LIFE) + b"\nX-Evil: 1",
    ],
    ids=range(10),
)
def test_what_is_no_id_token_that_lasts_is_none(
    id_tokens: MetadataIDTokens, server: Web, answer: bytes
) -> None:
    server.answer = lambda _: Answer(200, answer)
    with pytest.raises(Unavailable):
        id_tokens.token()
