"""The scan service's route: it reads one generation of the inbox and says what clamd says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.media.checksums import crc32c_of
from shared.media.objects import MemoryObjects
from shared.media.scan import Seen
from shared.media.scan_http import routes
from tests.fixtures.api import API

NAME = "uploads/a"


class Clamd:
    """Says `verdict` of everything; what it got stands in `seen`."""

    verdict: Any = "clean"

    def __init__(self) -> None:
        self.seen: list[bytes] = []

    def look(self, pieces: Iterable[bytes]) -> Seen:
        if self.verdict == "down":
            raise Unavailable
        self.seen.append(b"".join(pieces))
        return Seen("ClamAV 1.4.6/27900/Wed", self.verdict)


class World:
    def __init__(self) -> None:
        self.objects = MemoryObjects()
        self.clamd = Clamd()
        self.api = API("scanner", routes(self.objects, self.clamd, {"inbox"}))
        self.generation = self.objects.put("inbox", NAME, b"bytes", "image/jpeg")

    def ask(self, **changes: Any) -> tuple[int, Any]:
        look = {"bucket": "inbox", "object": NAME, "generation": str(self.generation)}
        answer = self.api("POST", "/", look | changes)
        return answer.status_code, answer.get_json()


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("verdict", ["clean", "infected"])
def test_a_verdict_says_by_whom_and_on_what(world: World, verdict: str) -> None:
    world.clamd.verdict = verdict
    assert world.ask() == (
        200,
        {
            "verdict": verdict,
            "engine": "ClamAV 1.4.6/27900/Wed",
            "generation": str(world.generation),
            "crc32c": crc32c_of([b"bytes"]),
        },
    )
    assert world.clamd.seen == [b"bytes"]


def test_over_a_limit_nothing_is_said_of_the_bytes(world: World) -> None:
    world.clamd.verdict = "scan-limit"
    status, verdict = world.ask()
    assert (status, verdict["verdict"], verdict["crc32c"]) == (200, "scan-limit", None)


def test_another_generation_is_not_the_one_that_was_asked_for(world: World) -> None:
    """Neither a later one of the same name, nor an earlier."""
    later = world.objects.put("inbox", NAME, b"evil", "image/jpeg")
    assert world.ask()[1]["verdict"] == "gone"
    assert world.ask(generation=str(later + 1))[1]["verdict"] == "gone"
    assert world.clamd.seen == []
    assert world.ask(generation=str(later))[1]["crc32c"] == crc32c_of([b"evil"])


@pytest.mark.parametrize("bucket", ["media", "renditions", "Inbox", "inbox ", "inbox/../media"])
def test_of_another_bucket_nothing_is_read(world: World, bucket: str) -> None:
    world.objects.put(bucket, NAME, b"private", "image/jpeg")
    status, problem = world.ask(bucket=bucket)
    assert status == 404
    assert "verdict" not in problem
    assert world.clamd.seen == []


def test_without_clamd_there_is_no_verdict(world: World) -> None:
    world.clamd.verdict = "down"
    status, problem = world.ask()
    assert status == 503
    assert "verdict" not in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": ""},
        {"bucket": None},
        {"object": ""},
        {"object": ["uploads/a"]},
        {"object": "a" * 1025},
        {"generation": 1},
        {"generation": ""},
        {"generation": "0"},
        {"generation": "-1"},
        {"generation": "1e3"},
        {"generation": "١"},
        {"generation": "9" * 20},
        {"generation": "1\n"},
        {"content": "bytes"},
        {"signature": "x"},
    ],
    ids=json.dumps,
)
def test_what_does_not_name_an_object_is_refused(world: World, changes: dict[str, Any]) -> None:
    assert world.ask(**changes)[0] == 422
    assert world.clamd.seen == []


@pytest.mark.parametrize(
    ("body", "options", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b"[" * 10_000, {}, 400),
        (b"null", {}, 422),
        (b'{"bucket": "inbox", "object": "\\ud800", "generation": "1"}', {}, 400),
        (b"x" * 17_000, {}, 413),
        (b"{}", {"headers": {"Content-Type": "text/plain"}}, 415),
    ],
    ids=lambda one: repr(one)[:20],
)
def test_what_is_no_request_is_refused(
    world: World, body: bytes, options: dict[str, Any], status: int
) -> None:
    assert world.api("POST", "/", body, **options).status_code == status
    assert world.clamd.seen == []


def test_nothing_else_is_served(world: World) -> None:
    assert world.api("GET", "/").status_code == 405
    assert world.api("GET", "/inbox/uploads/a").status_code == 404
    assert world.api("GET", "/health").get_json() == {"status": "ok", "service": "scanner"}
