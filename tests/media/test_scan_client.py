"""Asking the scan service: a file is harmless only when the service says so of the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.documents import MemoryDocuments
from shared.errors import Unavailable
from shared.media.checksums import crc32c_of
from shared.media.objects import ObjectVersion
from shared.media.outline import Rejected
from shared.media.scan_client import ScanService
from tests.fixtures.emulated import free_port
from tests.fixtures.web import Answer, Asked, Web, as_json, serving
from tests.media.world import PHOTO, MediaWorld

UPLOAD = ObjectVersion("inbox", "uploads/a", 1_700_000_000_000_001)
RIGHT: dict[str, Any] = {
    "verdict": "clean",
    "engine": "ClamAV 1.4.6/27900/Wed",
    "generation": str(UPLOAD.generation),
    "crc32c": crc32c_of([PHOTO]),
}


class Tokens:
    def __init__(self) -> None:
        self.broken = False

    def token(self) -> str:
        if self.broken:
            raise Unavailable
        return "t"


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(lambda _: as_json(RIGHT)) as service:
        yield service


@pytest.fixture
def service(web: Web) -> Iterator[ScanService]:
    made = ScanService(web.url, Tokens(), whole=5)
    yield made
    made._http.close()


def test_the_object_is_named_and_its_bytes_stay_where_they_are(
    service: ScanService, web: Web
) -> None:
    assert service.scan(UPLOAD, PHOTO) == "ClamAV 1.4.6/27900/Wed"
    (asked,) = web.asked
    assert (asked.method, asked.path) == ("POST", "/")
    assert asked.headers["Authorization"] == "Bearer t"
    assert json.loads(asked.body) == {
        "bucket": "inbox",
        "object": "uploads/a",
        "generation": "1700000000000001",
    }


@pytest.mark.parametrize(
    ("verdict", "checksum"),
    [("infected", crc32c_of([PHOTO])), ("scan-limit", None), ("scan-limit", "AAAAAA==")],
)
def test_a_bad_word_is_a_rejection(
    service: ScanService, web: Web, verdict: str, checksum: str | None
) -> None:
    web.answer = lambda _: as_json(RIGHT | {"verdict": verdict, "crc32c": checksum})
    with pytest.raises(Rejected, match=verdict):
        service.scan(UPLOAD, PHOTO)


NO_VERDICT: dict[str, Answer] = {
    # What Cloud Run answers in the service's place.
    "no token": Answer(401, b"<html>"),
    "not the caller": Answer(403, b"<html>"),
    "wrong ingress or name": Answer(404, b"<html>"),
    "no instance": Answer(429, b"Rate exceeded."),
    "killed": Answer(503, b"upstream connect error"),
    # What would be a verdict, were it told as one.
    "clean, but created": as_json(RIGHT, 201),
    "clean, but failed": as_json(RIGHT, 500),
    # What is none.
    "nothing": Answer(200),
    "a page": Answer(200, b"<html>OK</html>"),
    "half of one": Answer(200, json.dumps(RIGHT).encode()[:-1]),
    "a list": as_json([RIGHT]),
    "deep": Answer(200, b"[" * 30_000),
    "cut": Answer(cut=True),
    "long": Answer(200, b" " * 100_000),
    "another word": as_json(RIGHT | {"verdict": "ok"}),
    "no word": as_json({name: one for name, one in RIGHT.items() if name != "verdict"}),
    "null": as_json(RIGHT | {"verdict": None}),
    "one more word": as_json(RIGHT | {"error": "clamd was not asked"}),
    # Lies about what was looked at.
    "another generation": as_json(RIGHT | {"generation": "1700000000000002"}),
    "a generation that is a number": as_json(RIGHT | {"generation": UPLOAD.generation}),
    "other bytes": as_json(RIGHT | {"crc32c": crc32c_of([PHOTO + b"x"])}),
    "no checksum": as_json(RIGHT | {"crc32c": None}),
    "infected are other bytes": as_json(RIGHT | {"verdict": "infected", "crc32c": "AAAAAA=="}),
    "too large is another generation": as_json(
        RIGHT | {"verdict": "scan-limit", "generation": "2"}
    ),
    # Whom to believe?
    "nobody": as_json(RIGHT | {"engine": ""}),
    "a line more in the logs": as_json(RIGHT | {"engine": "ClamAV\nsays"}),
    "gone": as_json(RIGHT | {"verdict": "gone", "engine": "", "crc32c": None}),
}


@pytest.mark.parametrize("answer", NO_VERDICT.values(), ids=NO_VERDICT.keys())
def test_whatever_else_is_said_is_an_outage(service: ScanService, web: Web, answer: Answer) -> None:
    web.answer = lambda _: answer
    with pytest.raises(Unavailable):
        service.scan(UPLOAD, PHOTO)
    web.answer = lambda _: as_json(RIGHT)
    assert service.scan(UPLOAD, PHOTO)


def test_a_service_that_never_answers_is_given_up(web: Web) -> None:
    def hang(_: Asked) -> Answer:
        web.ended.wait(10)
        return as_json(RIGHT)

    web.answer = hang
    with pytest.raises(Unavailable):
        ScanService(web.url, Tokens(), whole=0.2).scan(UPLOAD, PHOTO)
    web.ended.set()


def test_nobody_there_is_an_outage() -> None:
    with pytest.raises(Unavailable):
        ScanService(f"http://127.0.0.1:{free_port()}", Tokens()).scan(UPLOAD, PHOTO)


def test_a_request_that_is_lost_on_its_way_is_sent_once_more(
    service: ScanService, web: Web
) -> None:
    answers = [Answer(cut=True), as_json(RIGHT), Answer(cut=True), Answer(cut=True)]
    web.answer = lambda _: answers.pop(0)
    assert service.scan(UPLOAD, PHOTO)
    with pytest.raises(Unavailable):
        service.scan(UPLOAD, PHOTO)
    assert len(web.asked) == 4


def test_without_a_token_nothing_is_asked(web: Web) -> None:
    tokens = Tokens()
    tokens.broken = True
    with pytest.raises(Unavailable):
        ScanService(web.url, tokens).scan(UPLOAD, PHOTO)
    assert web.asked == []


def test_the_word_that_an_upload_is_gone_deletes_nothing(service: ScanService, web: Web) -> None:
    """The pipeline's own look decides, at the next delivery."""
    world = MediaWorld(MemoryDocuments())
    world.pipeline._scanner = service
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    told = RIGHT | {"generation": str(event.generation)}
    web.answer = lambda _: as_json(told | {"verdict": "gone", "engine": "", "crc32c": None})
    for _ in range(2):
        with pytest.raises(Unavailable):
            world.pipeline(event)
        assert world.medium(media_id).state == "scanning"
        assert world.objects.stands("inbox", event.name)
    web.answer = lambda _: as_json(told)
    world.pipeline(event)
    fields = world.medium(media_id).fields
    assert (fields["state"], fields["scannedBy"]) == ("ready", RIGHT["engine"])
