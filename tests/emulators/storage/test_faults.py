"""Trouble on request: each kind strikes as often as asked, where asked, and then no more."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import google_crc32c
import httpx
import pytest

from tests.emulators.storage.service import ORIGIN, Service, running

pytestmark = pytest.mark.emulated

BODY = b"x" * 100_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("faults")) as started:
        started.bucket("bkt")
        yield started


def put(service: Service, url: str) -> httpx.Response:
    return service.http.put(url, content=BODY, headers={"origin": ORIGIN})


def stored(service: Service, name: str) -> bool:
    return bool(service.client.bucket("bkt").blob(name).exists())


@pytest.mark.parametrize("after", [0, 1000, 100_000])
def test_a_status_strikes_twice_readably_and_stores_nothing(service: Service, after: int) -> None:
    url = service.sign("bkt", "status")
    service.fault(kind="status", path_prefix="/bkt/status", after_bytes=after, count=2, status=502)
    for _ in range(2):
        answer = put(service, url)
        assert (answer.status_code, stored(service, "status")) == (502, False)
        assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert put(service, url).status_code == 200
    service.client.bucket("bkt").blob("status").delete()


@pytest.mark.parametrize("after", [0, 1000])
def test_a_cut_drops_the_request(service: Service, after: int) -> None:
    url = service.sign("bkt", "cut")
    service.fault(kind="cut", method="PUT", after_bytes=after)
    with pytest.raises(httpx.TransportError):
        put(service, url)
    assert not stored(service, "cut")
    assert not list((service.data / "incoming").iterdir())
    assert put(service, url).status_code == 200
    service.client.bucket("bkt").blob("cut").delete()


@pytest.mark.parametrize("after", [0, 70_000, 99_999])
def test_one_altered_byte_is_refused_where_the_sum_is_told_and_stored_where_not(
    service: Service, after: int
) -> None:
    told = {"x-goog-hash": f"crc32c={checksum(BODY)}"}
    service.fault(kind="alter", method="PUT", after_bytes=after, count=2)
    answer = service.http.put(
        service.sign("bkt", "sum", headers=told), content=BODY, headers=told | {"origin": ORIGIN}
    )
    assert (answer.status_code, "BadDigest" in answer.text) == (400, True)
    assert not stored(service, "sum")
    answer = put(service, service.sign("bkt", "sum"))
    kept = service.client.bucket("bkt").blob("sum").download_as_bytes()
    assert [at for at, byte in enumerate(kept) if byte != BODY[at]] == [after]
    assert f"crc32c={checksum(kept)}" in answer.headers["x-goog-hash"]
    assert (
        put(service, service.sign("bkt", "sum"))
        .headers["x-goog-hash"]
        .startswith(told["x-goog-hash"])
    )
    service.client.bucket("bkt").blob("sum").delete()


def checksum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def test_a_cut_answer_loses_the_word_but_not_the_deed(service: Service) -> None:
    headers = {"x-goog-if-generation-match": "0"}
    url = service.sign("bkt", "deed", headers=headers)
    service.fault(kind="cut-answer", method="PUT")
    with pytest.raises(httpx.TransportError):
        service.http.put(url, content=BODY, headers=headers)
    assert stored(service, "deed")
    assert service.http.put(url, content=BODY, headers=headers).status_code == 412


def test_a_cut_answer_ends_a_download_in_the_middle(service: Service) -> None:
    service.client.bucket("bkt").blob("half").upload_from_string(b"x" * 5_000_000)
    url = service.sign("bkt", "half", "GET")
    service.fault(kind="cut-answer", method="GET", path_prefix="/bkt/half", after_bytes=1000)
    with pytest.raises(httpx.TransportError):
        service.http.get(url)
    assert len(service.http.get(url).content) == 5_000_000


def test_a_fault_waits_for_the_request_that_it_names(service: Service) -> None:
    service.fault(kind="status", method="PUT", path_prefix="/bkt/named")
    assert put(service, service.sign("bkt", "other")).status_code == 200
    assert service.http.get(service.sign("bkt", "named", "GET")).status_code == 404
    assert [fault["path_prefix"] for fault in service.faults()] == ["/bkt/named"]
    assert put(service, service.sign("bkt", "named")).status_code == 503
    assert service.faults() == []


def test_the_official_client_gets_over_a_fault(service: Service) -> None:
    service.fault(kind="status", method="POST", path_prefix="/upload/", count=2)
    service.client.bucket("bkt").blob("retried").upload_from_string("x", if_generation_match=0)
    assert stored(service, "retried")


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(0, ""), (299, ""), (301, "ExpiredToken"), (-800, ""), (-1000, "RequestTimeTooSkewed")],
)
def test_the_clock_decides_what_is_expired(service: Service, seconds: int, code: str) -> None:
    url = service.sign("bkt", "clock")
    with service.clock(seconds):
        answer = put(service, url)
    assert answer.text.partition("<Code>")[2].partition("<")[0] == code
    assert (answer.status_code == 200) == (code == "")


def test_a_soft_deleted_object_is_gone_when_the_clock_says_so(service: Service) -> None:
    bucket = service.client.bucket("bkt")
    blob = bucket.blob("soft")
    blob.upload_from_string("x")
    blob.delete()
    with service.clock(-60):
        assert bucket.restore_blob("soft", generation=blob.generation).size == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"kind": "x"},
        {"kind": "cut", "count": "1"},
        {"kind": "cut", "count": 0},
        {"kind": "cut", "after_bytes": -1},
        {"kind": "status", "status": 200},
        {"kind": "notification", "copies": 0},
        {"kind": "clock", "seconds": True},
        {"kind": "cut", "unknown": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(service: Service, body: dict[str, Any]) -> None:
    answer = service.http.post(f"{service.url}/_emulator/faults", json=body)
    assert (answer.status_code, service.faults()) == (400, [])


def test_a_page_cannot_set_or_clear_a_fault(service: Service) -> None:
    url = f"{service.url}/_emulator/faults"
    simple = {"content-type": "text/plain", "origin": ORIGIN}
    for method in ("POST", "DELETE"):
        answer = service.http.request(method, url, content='{"kind":"cut"}', headers=simple)
        assert answer.status_code == 400
    preflight = service.http.request("OPTIONS", url, headers={"origin": ORIGIN})
    assert preflight.status_code >= 400
    assert "access-control-allow-origin" not in preflight.headers
    assert service.faults() == []


def test_without_the_switch_there_are_no_faults(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running(tmp_path_factory.mktemp("plain"), admin=False) as service:
        url = f"{service.url}/_emulator/faults"
        assert service.http.post(url, json={"kind": "cut"}).status_code == 403
        assert service.http.get(url).status_code == 403
        assert service.http.get(f"{service.url}/_emulator/health").status_code == 200
