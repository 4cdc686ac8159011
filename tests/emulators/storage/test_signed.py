"""Signed requests over real HTTP: what holds is served, every single mutation is refused."""

from __future__ import annotations

import base64
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import google_crc32c
import httpx
import pytest

from tests.emulators.storage.service import ORIGIN, Service, running
from tests.fixtures import http

pytestmark = pytest.mark.emulated

HEADERS = {
    "content-type": "image/png",
    "x-goog-content-length-range": "5,5",
    "x-goog-if-generation-match": "0",
    "x-goog-meta-trace": "t 1",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("signed")) as service:
        service.bucket("bkt")
        yield service


def code(answer: httpx.Response) -> str:
    return answer.text.partition("<Code>")[2].partition("</Code>")[0]


def test_what_was_signed_is_stored_and_read_back(service: Service):
    url = service.sign("bkt", "ü/1 ~.png", headers=HEADERS)
    stored = http.put(url, content=b"12345", headers=HEADERS)
    assert (stored.status_code, stored.headers["x-goog-generation"] != "") == (200, True)
    read = http.get(
        service.sign("bkt", "ü/1 ~.png", "GET", response_disposition="attachment"),
        headers={"range": "bytes=1-2"},
    )
    assert (read.status_code, read.content) == (206, b"23")
    assert read.headers["content-disposition"] == "attachment"
    assert read.headers["x-goog-meta-trace"] == "t 1"


def test_a_read_is_conditional(service: Service):
    service.client.bucket("bkt").blob("cond").upload_from_string("abc")
    url = service.sign("bkt", "cond", "GET")
    tag = http.get(url).headers["etag"]
    assert http.get(url, headers={"if-none-match": tag}).status_code == 304
    assert http.get(url, headers={"if-match": '"other"'}).status_code == 412
    assert http.get(url, headers={"range": "bytes=9-"}).status_code == 416


def test_a_mismatch_shows_what_should_have_been_signed(service: Service):
    url = service.sign("bkt", "shown")
    answer = http.put(url.replace("shown", "other"), content=b"x")
    assert (answer.status_code, code(answer)) == (403, "SignatureDoesNotMatch")
    assert "<StringToSign>GOOG4-RSA-SHA256" in answer.text
    assert "<CanonicalRequest>PUT\n/bkt/other" in answer.text


def test_an_unsigned_request_is_refused(service: Service):
    answer = http.get(f"{service.url}/bkt/any")
    assert (answer.status_code, code(answer)) == (403, "AccessDenied")


def test_an_expired_url_is_refused(service: Service):
    url = service.sign("bkt", "late", expiration=timedelta(seconds=60))
    with service.clock(61):
        answer = http.put(url, content=b"x")
    assert (answer.status_code, code(answer)) == (400, "ExpiredToken")


@pytest.mark.parametrize(("size", "expected"), [(1, "EntityTooSmall"), (11, "EntityTooLarge")])
def test_a_size_outside_the_range_is_refused(service: Service, size: int, expected: str):
    headers = {"x-goog-content-length-range": "2,10"}
    url = service.sign("bkt", "range", headers=headers)
    assert code(http.put(url, content=b"x" * size, headers=headers)) == expected
    streamed = http.put(url, content=iter([b"x" * size]), headers=headers)
    assert code(streamed) == expected


def test_bytes_other_than_the_announced_are_refused(service: Service):
    crc = base64.b64encode(google_crc32c.Checksum(b"right").digest()).decode()
    headers = {"x-goog-hash": f"crc32c={crc}"}
    url = service.sign("bkt", "hash", headers=headers)
    assert code(http.put(url, content=b"wrong", headers=headers)) == "BadDigest"
    assert http.put(url, content=b"right", headers=headers).status_code == 200
    digest = {"x-goog-content-sha256": hashlib.sha256(b"right").hexdigest()}
    url = service.sign("bkt", "sha", headers=digest)
    assert code(http.put(url, content=b"wrong", headers=digest)) == "BadDigest"


def test_of_racing_writers_exactly_one_wins(service: Service):
    headers = {"x-goog-if-generation-match": "0"}
    url = service.sign("bkt", "race", headers=headers)

    def write(number: int) -> int:
        return http.put(url, content=bytes([number]) * 100_000, headers=headers).status_code

    with ThreadPoolExecutor(12) as pool:
        results = sorted(pool.map(write, range(12)))
    assert results == [200] + [412] * 11
    content = service.client.bucket("bkt").blob("race").download_as_bytes()
    assert content == content[:1] * 100_000


def start(service: Service, name: str, **headers: str) -> str:
    url = service.sign("bkt", name, "RESUMABLE", headers=headers)
    answer = http.post(url, headers={"x-goog-resumable": "start", "origin": ORIGIN, **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def test_a_resumable_upload_goes_on_after_a_cut(service: Service):
    location = start(service, "resumed")
    data = os.urandom(1_000_000)
    # The server hands over up to 320 KiB at once, so one unit at least is written by then.
    service.fault(kind="cut", method="PUT", path_prefix="/bkt/resumed", after_bytes=700_000)
    with pytest.raises(httpx.TransportError):
        http.put(location, content=data)
    state = http.put(location, headers={"content-range": "bytes */1000000"})
    assert state.status_code == 308
    done = int(state.headers["range"].removeprefix("bytes=0-")) + 1
    assert done in (262_144, 524_288)
    rest = {"content-range": f"bytes {done}-999999/1000000"}
    assert http.put(location, content=data[done:], headers=rest).status_code == 200
    assert service.client.bucket("bkt").blob("resumed").download_as_bytes() == data
    again = http.put(location, headers={"content-range": "bytes */1000000"})
    assert again.status_code == 200


def test_a_session_keeps_the_conditions_of_its_start(service: Service):
    location = start(service, "bound", **{"x-goog-content-length-range": "0,10"})
    assert code(http.put(location, content=b"x" * 11)) == "EntityTooLarge"
    assert http.put(location.replace("/bound?", "/other?"), content=b"x").status_code == 403
    assert http.put(location[:-1] + "!", content=b"x").status_code == 404
    assert http.delete(location).status_code == 499
    assert http.put(location, content=b"x").status_code == 404


def form(service: Service, **more: object) -> tuple[str, dict[str, str]]:
    policy = service.signer.generate_signed_post_policy_v4(
        "bkt",
        "form/1",
        timedelta(minutes=5),
        conditions=[["content-length-range", 1, 10]],
        fields={"content-type": "text/plain", **more},
    )
    return f"{service.url}/bkt", policy["fields"]


def test_a_form_upload_obeys_its_policy(service: Service):
    url, fields = form(service)
    assert http.post(url, data=fields, files={"file": b"12345"}).status_code == 204
    too_large = http.post(url, data=fields, files={"file": b"x" * 11})
    assert code(too_large) == "EntityTooLarge"
    for change in ({"key": "other"}, {"content-type": "text/html"}, {"x-goog-meta-a": "1"}):
        refused = http.post(url, data={**fields, **change}, files={"file": b"1"})
        assert (refused.status_code, code(refused)) == (403, "AccessDenied")
    forged = {**fields, "policy": base64.b64encode(b'{"conditions": []}').decode()}
    assert http.post(url, data=forged, files={"file": b"1"}).status_code == 403


@pytest.mark.parametrize("change", ["x-goog-acl", "x-goog-encryption-key"])
def test_what_is_left_out_says_so(service: Service, change: str):
    headers = {change: "private"}
    url = service.sign("bkt", "left", headers=headers)
    assert http.put(url, content=b"x", headers=headers).status_code == 501


def test_a_killed_emulator_keeps_what_it_answered_and_half_of_nothing(tmp_path):
    with running(tmp_path) as service:
        service.bucket("bkt")
        service.client.bucket("bkt").blob("whole").upload_from_string(b"whole")
        url = service.sign("bkt", "half")
        location = start(service, "resumed")
        unit = {"content-range": "bytes 0-262143/300000"}
        assert http.put(location, content=b"r" * 262_144, headers=unit).status_code == 308

        def dying():
            for _ in range(20):
                yield b"x" * 100_000
            service.kill()
            yield b"x"
            time.sleep(0)

        with pytest.raises(httpx.TransportError):
            http.put(url, content=dying())
    with running(tmp_path) as service:
        names = [blob.name for blob in service.client.list_blobs("bkt")]
        assert names == ["whole"]
        assert not list((tmp_path / "data" / "incoming").iterdir())
        path = location.partition("/bkt/")[2]
        state = http.put(f"{service.url}/bkt/{path}", headers={"content-range": "bytes */300000"})
        assert state.headers["range"] == "bytes=0-262143"
