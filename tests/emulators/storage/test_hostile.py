"""Odd, forged and simultaneous requests: each is refused or served whole, none is answered 500."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulators.storage.service import ORIGIN, Service, running

pytestmark = pytest.mark.emulated

BASIC = {"authorization": "Basic eA=="}
TOKEN = {"authorization": "Bearer any"}
JSON = {"content-type": "application/json"}
SCALARS = st.none() | st.booleans() | st.integers(-5, 10**20) | st.text(max_size=8)
VALUES = SCALARS | st.just("\ud800") | st.lists(SCALARS, max_size=2)
ANY_JSON = VALUES | st.dictionaries(st.text(max_size=8), VALUES, max_size=2)
FIELDS = (
    "name",
    "cors",
    "versioning",
    "softDeletePolicy",
    "labels",
    "location",
    "metadata",
    "contentType",
    "cacheControl",
    "customTime",
    "storageClass",
    "temporaryHold",
    "md5Hash",
    "crc32c",
    "sourceObjects",
    "destination",
    "topic",
    "event_types",
    "custom_attributes",
    "object_name_prefix",
    "kind",
    "count",
    "seconds",
)
CALLS = (
    ("POST", "/storage/v1/b?project=p"),
    ("PATCH", "/storage/v1/b/odd"),
    ("PUT", "/storage/v1/b/odd"),
    ("POST", "/storage/v1/b/odd/notificationConfigs"),
    ("PATCH", "/storage/v1/b/odd/o/x"),
    ("POST", "/storage/v1/b/odd/o/y/compose"),
    ("POST", "/storage/v1/b/odd/o/x/rewriteTo/b/odd/o/y"),
    ("POST", "/upload/storage/v1/b/odd/o?uploadType=resumable&name=z"),
    ("POST", "/upload/storage/v1/b/odd/o?uploadType=multipart&name=x"),
)
NO_SHRINKING_FIXTURE = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("hostile")) as started:
        started.bucket("odd").blob("x").upload_from_string("x")
        started.bucket("bkt")
        yield started


def as_multipart(resource: bytes) -> tuple[bytes, dict[str, str]]:
    body = b"--B\r\nContent-Type: application/json\r\n\r\n" + resource
    body += b"\r\n--B\r\nContent-Type: text/plain\r\n\r\nbytes\r\n--B--\r\n"
    return body, {"content-type": "multipart/related; boundary=B"}


@settings(max_examples=300, deadline=None, suppress_health_check=NO_SHRINKING_FIXTURE)
@given(
    st.sampled_from(CALLS),
    st.dictionaries(st.sampled_from(FIELDS), ANY_JSON | st.lists(ANY_JSON, max_size=2), max_size=4),
)
def test_no_resource_however_odd_is_answered_500(
    service: Service, call: tuple[str, str], body: dict[str, Any]
) -> None:
    data, headers = json.dumps(body).encode(), JSON
    if "multipart" in call[1]:
        data, headers = as_multipart(data)
    answer = service.http.request(call[0], service.url + call[1], content=data, headers=headers)
    assert answer.status_code != 500, answer.text
    # What was taken in must also come out again.
    read = service.http.get(f"{service.url}/storage/v1/b/odd/o/x?alt=media")
    assert read.status_code in (200, 404), read.text
    asked = {"origin": ORIGIN, "access-control-request-method": "PUT"}
    preflight = service.http.request("OPTIONS", f"{service.url}/odd/x", headers=asked)
    assert preflight.status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "/storage/v1/b/odd/o?pageToken=!",
        "/storage/v1/b/odd/o?pageToken=WyJcdWQ4MDAiLCAxXQ==",
        "/storage/v1/b/odd/o?maxResults=-1",
        "/storage/v1/b/odd/o?prefix=%FF",
        "/storage/v1/b/odd/o/%FF",
        "/storage/v1/b/odd/o/x?generation=99999999999999999999",
        "/storage/v1/b/odd/o/x?ifGenerationMatch=x",
        "/upload/storage/v1/b/odd/o?uploadType=other",
        "/%FF/x?X-Goog-Signature=%FF",
        "/odd/x?X-Goog-Algorithm=&X-Goog-Signature=zz",
    ],
)
def test_an_odd_path_or_query_is_refused(service: Service, target: str) -> None:
    answer = service.http.request("GET", service.url + target)
    assert 400 <= answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B\r\n\r\n{}\r\n--B--\r\n",
        b"--B\r\n\r\n{}",
        b"--B\r\n\r\n[]\r\n--B\r\n\r\nx\r\n--B--\r\n",
        b"\xff" * 100,
    ],
)
def test_a_broken_multipart_upload_is_refused(service: Service, body: bytes) -> None:
    url = f"{service.url}/upload/storage/v1/b/odd/o?uploadType=multipart&name=broken"
    headers = {"content-type": "multipart/related; boundary=B"}
    assert service.http.post(url, content=body, headers=headers).status_code == 400
    assert "broken" not in [name for name, _, _ in service.objects("odd")]


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"a": "\ud800"}},
        {"metadata": {"\ud800": "a"}},
        {"metadata": {"a": 1}},
        {"metadata": []},
        {"contentType": "\udfff"},
        {"contentType": 5},
        {"customTime": "yesterday"},
        {"temporaryHold": "yes"},
    ],
)
def test_an_object_of_no_use_to_a_reader_is_refused(service: Service, body: dict[str, Any]) -> None:
    url = f"{service.url}/storage/v1/b/odd/o/x"
    answer = service.http.patch(url, content=json.dumps(body), headers=JSON)
    assert answer.status_code == 400, answer.text


def test_a_header_made_of_metadata_stays_one_header(service: Service) -> None:
    blob = service.client.bucket("bkt").blob("split")
    blob.metadata = {"a": "1\r\nset-cookie: x=1", "b c": "2", "d": " ü\x00 "}
    blob.content_disposition = "inline\r\nx-evil: 1"
    blob.upload_from_string("x")
    answer = service.http.get(service.sign("bkt", "split", "GET"))
    assert answer.status_code == 200
    assert {"set-cookie", "x-evil", "x-goog-meta-b c"} & set(answer.headers) == set()
    assert answer.headers["x-goog-meta-a"] == "1  set-cookie: x=1"


def test_bytes_other_than_announced_are_refused_by_the_json_api(service: Service) -> None:
    body, headers = as_multipart(b'{"name": "sum", "crc32c": "AAAAAA=="}')
    url = f"{service.url}/upload/storage/v1/b/bkt/o?uploadType=multipart"
    answer = service.http.post(url, content=body, headers=headers)
    assert (answer.status_code, "CRC32C" in answer.text) == (400, True)
    url = f"{service.url}/upload/storage/v1/b/bkt/o?uploadType=media&name=sum"
    wrong = {"x-goog-hash": "md5=AAAAAAAAAAAAAAAAAAAAAA=="}
    assert service.http.post(url, content=b"bytes", headers=wrong).status_code == 400
    assert service.http.post(url, content=b"bytes").json()["size"] == "5"
    assert service.http.delete(f"{service.url}/storage/v1/b/bkt/o/sum").status_code == 204


def test_reads_amid_overwrites_are_whole(service: Service) -> None:
    # Without soft delete an overwrite removes the bytes that it replaces at once.
    bucket = service.bucket("brief")
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.patch()
    blob = bucket.blob("busy")
    blob.upload_from_string(b"0" * 300_000)
    url, done = service.sign("brief", "busy", "GET"), threading.Event()

    def read() -> set[str]:
        seen = set()
        with httpx.Client(timeout=30) as client:
            while not done.is_set():
                answer = client.get(url)
                content = answer.content
                whole = len(content) == 300_000 and content == content[:1] * 300_000
                seen.add(f"{answer.status_code} {whole}")
        return seen

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for number in range(40):
                blob.upload_from_string(str(number % 10).encode() * 300_000)
        finally:
            done.set()
        assert [reader.result() for reader in readers] == [{"200 True"}] * 3


def test_a_page_reads_that_its_session_was_cancelled(service: Service) -> None:
    start = {"x-goog-resumable": "start", "origin": ORIGIN}
    url = service.sign("bkt", "gone", "RESUMABLE")
    location = service.http.post(url, headers=start).headers["location"]
    for method, status in (("DELETE", 499), ("PUT", 404)):
        answer = service.http.request(method, location, headers={"origin": ORIGIN})
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == ORIGIN
    asked = {"origin": ORIGIN, "access-control-request-method": "PUT"}
    assert service.http.request("OPTIONS", location, headers=asked).status_code == 200


def test_without_a_token_only_signatures_and_sessions_count(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with running(tmp_path_factory.mktemp("closed"), anonymous=False) as service:
        base = f"{service.url}/storage/v1"
        made = service.http.post(f"{base}/b?project=p", json={"name": "shut"}, headers=TOKEN | JSON)
        assert made.status_code == 200
        put = service.http.put(service.sign("shut", "a"), content=b"secret")
        assert put.status_code == 200
        for target in ("/b/shut/o/a?alt=media", "/b/shut/o/a", "/b/shut/o", "/b?project=p"):
            for more in ("", "upload_id=1", "uploadType=resumable&upload_id=1"):
                url = f"{base}{target}{'&' if '?' in target else '?'}{more}"
                assert service.http.get(url).status_code == 401, url
                assert service.http.get(url, headers=BASIC).status_code == 401
        url = f"{service.url}/upload/storage/v1/b/shut/o?uploadType=media&name=b"
        assert service.http.post(url, content=b"x").status_code == 401
        assert service.http.delete(f"{base}/b/shut/o/a").status_code == 401
        assert service.http.get(f"{service.url}/shut/a").status_code == 403
        assert service.http.get(f"{service.url}/shut/a?upload_id=1").status_code == 404
        read = service.http.get(f"{base}/b/shut/o/a?alt=media", headers=TOKEN)
        assert read.content == b"secret"


def test_what_was_answered_before_a_kill_is_there_after_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    answered: dict[str, bytes] = {}
    some = threading.Event()

    def write(service: Service, writer: int) -> None:
        with httpx.Client(timeout=30) as client:
            for number in range(1000):
                name, data = f"{writer}-{number}", os.urandom(200_000)
                try:
                    answer = client.put(service.sign("bkt", name), content=data)
                except httpx.TransportError:
                    return
                assert answer.status_code == 200
                answered[name] = data
                if len(answered) >= 20:
                    some.set()

    with running(folder) as service:
        service.bucket("bkt")
        with ThreadPoolExecutor(4) as pool:
            writers = [pool.submit(write, service, writer) for writer in range(4)]
            assert some.wait(60)
            service.kill()
            for writer in writers:
                writer.result()
    with running(folder) as service:
        found = {blob.name: blob for blob in service.client.list_blobs("bkt")}
        # One more for each writer may be stored although its answer was lost.
        assert set(answered) <= set(found)
        assert len(found) <= len(answered) + 4
        for name, blob in found.items():
            assert blob.size == 200_000
            assert blob.download_as_bytes() == answered.get(name, blob.download_as_bytes())
        files = [path for path in (folder / "data" / "blobs").rglob("*") if path.is_file()]
        assert len(files) == len(found)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/bkt/x?GoogleAccessId=a&Expires=1&Signature=b"),
        ("POST", "/bkt/x?uploads"),
        ("GET", "/bkt/x?acl"),
        ("GET", "/bkt"),
        ("PUT", "/new-bucket"),
        ("GET", "/storage/v1/b/bkt/o?matchGlob=*"),
        ("GET", "/storage/v1/b/bkt/o/x/acl"),
        ("GET", "/storage/v1/b/bkt/acl"),
        ("GET", "/storage/v1/b/bkt/iam"),
        ("GET", "/storage/v1/b/bkt/folders"),
        ("GET", "/storage/v1/b/bkt?softDeleted=true&generation=1"),
        ("GET", "/storage/v1/projects/p/hmacKeys"),
        ("POST", "/storage/v1/b/bkt/o/x/rewriteTo/b/bkt/o/y?destinationKmsKeyName=k"),
        ("GET", "/storage/v2/b/bkt"),
    ],
)
def test_what_the_document_leaves_out_answers_501(
    service: Service, method: str, target: str
) -> None:
    answer = service.http.request(method, service.url + target, headers=TOKEN)
    assert answer.status_code == 501, answer.text


def test_signatures_outside_the_url_answer_501(service: Service) -> None:
    header = {"authorization": "GOOG4-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=b"}
    assert service.http.get(f"{service.url}/bkt/x", headers=header).status_code == 501
    url = service.sign("bkt", "x", "GET").replace("GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256")
    assert service.http.get(url).status_code == 501
