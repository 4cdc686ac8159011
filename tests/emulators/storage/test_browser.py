"""A real browser on a page of another origin: what it may do, and what it can read of a refusal."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.emulators.storage.service import Service, running
from tests.fixtures import pictures
from tests.fixtures.chromium import chromium
from tests.fixtures.web import Answer, serving

pytestmark = pytest.mark.emulated

HEADERS = {
    "content-type": "image/jpeg",
    "x-goog-if-generation-match": "0",
    "x-goog-content-length-range": "10,10",
}
SEND = """
([url, method, headers, size]) => new Promise((resolve) => {
  const request = new XMLHttpRequest();
  const progress = [];
  request.open(method, url);
  for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
  request.upload.onprogress = (event) => progress.push(event.loaded);
  request.onloadend = () => resolve({
    status: request.status, text: request.responseText, progress,
    range: request.getResponseHeader("range"),
    location: request.getResponseHeader("location"),
    generation: request.getResponseHeader("x-goog-generation"),
    secret: request.getResponseHeader("x-goog-stored-content-length"),
  });
  request.send(size === null ? null : new Uint8Array(size));
})
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    page = Answer(200, b"<!doctype html><title>page</title>", {"content-type": "text/html"})
    with serving(lambda _: page) as web:
        yield web.url


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def page(browser: Browser, origin: str) -> Iterator[Page]:
    opened = browser.new_page()
    opened.goto(origin)
    yield opened
    opened.close()


@pytest.fixture
def bucket(service: Service, origin: str) -> str:
    """Opened to the page's origin, whose header list leaves one of the answer's headers out."""
    rule = {
        "origin": [origin],
        "method": ["PUT", "POST", "GET"],
        "responseHeader": [
            *HEADERS,
            "content-range",
            "range",
            "location",
            "x-goog-generation",
            "x-goog-resumable",
        ],
        "maxAgeSeconds": 60,
    }
    name = f"b-{secrets.token_hex(4)}"
    service.bucket(name, cors=[rule])
    return name


def send(
    page: Page,
    url: str,
    headers: dict[str, str] = HEADERS,
    size: int | None = 10,
    method: str = "PUT",
) -> dict[str, Any]:
    answer: dict[str, Any] = page.evaluate(SEND, [url, method, headers, size])
    return answer


def test_a_preflighted_put_is_stored_and_its_answer_is_readable(
    service: Service, page: Page, bucket: str
) -> None:
    answer = send(page, service.sign(bucket, "a", headers=HEADERS))
    assert answer["status"] == 200
    assert answer["progress"][-1] == 10
    blob = service.client.bucket(bucket).get_blob("a")
    assert blob is not None
    assert answer["generation"] == str(blob.generation)
    # Not in the rule's list, so the page does not see it.
    assert answer["secret"] is None


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"size": 9}, 400, "EntityTooSmall"),
        ({"size": 11}, 400, "EntityTooLarge"),
        ({"size": 5_000_000}, 400, "EntityTooLarge"),
        ({"headers": HEADERS | {"content-type": "text/html"}}, 403, "SignatureDoesNotMatch"),
    ],
)
def test_a_refusal_is_readable_to_the_page(
    service: Service, page: Page, bucket: str, change: dict[str, Any], status: int, code: str
) -> None:
    answer = send(page, service.sign(bucket, "a", headers=HEADERS), **change)
    assert answer["status"] == status
    assert f"<Code>{code}</Code>" in answer["text"]
    assert service.client.bucket(bucket).get_blob("a") is None


def test_a_used_url_is_refused_readably(service: Service, page: Page, bucket: str) -> None:
    url = service.sign(bucket, "a", headers=HEADERS)
    assert send(page, url)["status"] == 200
    again = send(page, url)
    assert again["status"] == 412
    assert "<Code>PreconditionFailed</Code>" in again["text"]


def test_an_upload_can_be_resumed_by_what_the_range_says(
    service: Service, page: Page, bucket: str
) -> None:
    start = {"content-type": "image/jpeg", "x-goog-resumable": "start"}
    url = service.sign(bucket, "a", method="POST", headers=start)
    session = send(page, url, start, None, "POST")
    assert session["status"] == 201
    chunk = 256 * 1024
    first = {"content-range": f"bytes 0-{chunk - 1}/{chunk + 5}"}
    answer = send(page, session["location"], first, chunk)
    assert (answer["status"], answer["range"]) == (308, f"bytes=0-{chunk - 1}")
    asked = send(page, session["location"], {"content-range": f"bytes */{chunk + 5}"}, None)
    assert (asked["status"], asked["range"]) == (308, f"bytes=0-{chunk - 1}")
    rest = {"content-range": f"bytes {chunk}-{chunk + 4}/{chunk + 5}"}
    assert send(page, session["location"], rest, 5)["status"] == 200
    blob = service.client.bucket(bucket).get_blob("a")
    assert blob is not None
    assert blob.size == chunk + 5


@pytest.mark.parametrize("rule", [[], [{"origin": ["https://else.test"], "method": ["PUT"]}]])
def test_a_page_of_a_foreign_origin_gets_nowhere(
    service: Service, page: Page, rule: list[dict[str, Any]]
) -> None:
    name = f"b-{secrets.token_hex(4)}"
    service.bucket(name, cors=rule)
    answer = send(page, service.sign(name, "a", headers=HEADERS))
    assert (answer["status"], answer["text"]) == (0, "")
    # The preflight was refused, so the PUT was never sent.
    assert service.client.bucket(name).get_blob("a") is None


def test_a_method_that_no_rule_names_gets_nowhere(
    service: Service, page: Page, bucket: str
) -> None:
    service.client.bucket(bucket).blob("a").upload_from_string("x")
    answer = send(page, service.sign(bucket, "a", method="DELETE"), {}, None, "DELETE")
    assert answer["status"] == 0
    assert service.client.bucket(bucket).get_blob("a") is not None


def test_a_picture_of_a_signed_url_is_shown(service: Service, page: Page, bucket: str) -> None:
    content = pictures.saved(pictures.photo(64, 48), "PNG")
    service.client.bucket(bucket).blob("p").upload_from_string(content, content_type="image/png")
    url = service.sign(bucket, "p", method="GET")
    width = page.evaluate(
        """(url) => new Promise((resolve) => {
          const image = new Image();
          image.onload = () => resolve(image.naturalWidth);
          image.onerror = () => resolve(-1);
          image.src = url;
        })""",
        url,
    )
    assert width == 64
