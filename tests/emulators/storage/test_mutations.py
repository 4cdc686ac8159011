"""A signed request with one thing changed, whatever it is: refused, and nothing has happened."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.emulators.storage.service import Service, running

pytestmark = pytest.mark.emulated

COMMON = {"content-type": "image/png", "x-goog-meta-trace": "t 1"}
# What each live request signs beside its method; each of them would be served unchanged.
SIGNED = {
    "PUT": COMMON | {"x-goog-content-length-range": "5,5", "x-goog-if-generation-match": "0"},
    "POST": COMMON | {"x-goog-resumable": "start", "x-goog-if-generation-match": "0"},
    "GET": {"x-goog-if-metageneration-match": "1"},
    "HEAD": {"x-goog-if-metageneration-match": "1"},
    "DELETE": {"x-goog-if-metageneration-match": "1"},
}
KINDS = (
    "method",
    "path",
    "path-escape",
    "drop-query",
    "change-query",
    "add-query",
    "repeat-query",
    "signature",
    "change-header",
    "drop-header",
    "add-header",
    "host",
    "length",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("mutations")) as started:
        bucket = started.bucket("bkt")
        bucket.blob("kept/1").upload_from_string("12345")
        yield started


def signed(service: Service, method: str) -> httpx.Request:
    name = "new/1" if method in ("PUT", "POST") else "kept/1"
    headers = SIGNED[method]
    body = b"12345" if method == "PUT" else b""
    return httpx.Request(
        method, service.sign("bkt", name, method, headers), headers=headers, content=body
    )


def changed(text: str, at: int) -> str:
    """The text with one character at `at` replaced by another one that may stand there."""
    at %= len(text)
    return text[:at] + ("1" if text[at] == "0" else "0") + text[at + 1 :]


def mutated(kind: str, pick: int, live: httpx.Request) -> httpx.Request:
    """The request with exactly one thing changed; `pick` chooses which of several."""
    path, _, query = str(live.url).partition("?")
    items = query.split("&")
    at = pick % len(items)
    headers = {name: live.headers[name] for name in SIGNED[live.method]}
    header = list(headers)[pick % len(headers)]
    method, body = live.method, live.content
    if kind == "method":
        others = [other for other in SIGNED if other != method]
        method = others[pick % len(others)]
    elif kind == "path":
        path += ("x", "/", "%20", "/../y")[pick % 4]
    elif kind == "path-escape":
        path = path.replace("/bkt/", ("/b%6bt/", "/bkt%2F", "/bkt//")[pick % 3])
    elif kind == "drop-query":
        del items[at]
    elif kind == "change-query":
        name, _, value = items[at].partition("=")
        items[at] = f"{name}={changed(value, pick // len(items))}"
    elif kind == "add-query":
        more = ("generation=1", "x=", "X-Goog-Meta=1", "upload_id=1", "response-content-type=a")
        items.append(more[pick % len(more)])
    elif kind == "repeat-query":
        items.append(items[at])
    elif kind == "signature":
        items[-1] = f"X-Goog-Signature={changed(items[-1].partition('=')[2], pick)}"
    elif kind == "change-header":
        headers[header] = changed(headers[header], pick // len(headers))
    elif kind == "drop-header":
        del headers[header]
    elif kind == "add-header":
        headers[("x-goog-acl", "x-goog-meta-other", "x-goog-hash")[pick % 3]] = "1"
    elif kind == "host":
        headers["host"] = ("evil.test", "localhost", "127.0.0.1:1")[pick % 3]
    else:
        body = (b"", b"1234", b"123456")[pick % 3] if method == "PUT" else b""
        # Only a PUT's length is bound; of the others this removes the signature altogether.
        items = items if method == "PUT" else []
    return httpx.Request(method, f"{path}?{'&'.join(items)}", headers=headers, content=body)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(sorted(SIGNED)), st.sampled_from(KINDS), st.integers(0, 10_000))
def test_every_single_mutation_is_refused(
    service: Service, method: str, kind: str, pick: int
) -> None:
    before = service.objects("bkt")
    answer = service.http.send(mutated(kind, pick, signed(service, method)))
    assert 400 <= answer.status_code < 500, (method, kind, pick, answer.text)
    assert "location" not in answer.headers
    assert service.objects("bkt") == before


def test_the_same_requests_are_served_unchanged(service: Service) -> None:
    codes = {
        method: service.http.send(signed(service, method)).status_code
        for method in ("POST", "PUT", "HEAD", "GET", "DELETE")
    }
    assert codes == {"POST": 201, "PUT": 200, "HEAD": 200, "GET": 200, "DELETE": 204}
    service.client.bucket("bkt").blob("new/1").delete()
    service.client.bucket("bkt").blob("kept/1").upload_from_string("12345")


def form_fields(service: Service) -> dict[str, str]:
    policy = service.signer.generate_signed_post_policy_v4(
        "bkt",
        "form/1",
        timedelta(minutes=5),
        conditions=[["content-length-range", 1, 10], ["starts-with", "$x-goog-meta-a", "b"]],
        fields={"content-type": "text/plain", "x-goog-meta-a": "bc"},
    )
    fields: dict[str, str] = policy["fields"]
    return fields


def test_a_form_with_any_field_changed_or_left_out_is_refused(service: Service) -> None:
    url, fields = f"{service.url}/bkt", form_fields(service)
    before = service.objects("bkt")
    for name, value in fields.items():
        for data in (
            {**fields, name: changed(value, 0)},
            {key: text for key, text in fields.items() if key != name},
        ):
            answer = service.http.post(url, data=data, files={"file": b"12345"})
            assert 400 <= answer.status_code < 500, (name, answer.text)
    for bucket in ("other-bucket", "bkt"):
        service.http.post(f"{service.url}/{bucket}", data=fields, files={"file": b""})
    assert service.objects("bkt") == before
    assert service.http.post(url, data=fields, files={"file": b"12345"}).status_code == 204
    service.client.bucket("bkt").blob("form/1").delete()


def test_a_form_after_its_time_is_refused(service: Service) -> None:
    fields = form_fields(service)
    with service.clock(301):
        answer = service.http.post(f"{service.url}/bkt", data=fields, files={"file": b"12345"})
    assert (answer.status_code, "Policy expired" in answer.text) == (400, True)


@pytest.mark.parametrize("ranges", [((2, 4), (0, 9)), ((0, 9), (2, 4))])
def test_of_several_ranges_in_a_policy_all_hold(
    service: Service, ranges: tuple[tuple[int, int], ...]
) -> None:
    conditions = [["content-length-range", low, high] for low, high in ranges]
    policy = service.signer.generate_signed_post_policy_v4(
        "bkt", "form/2", timedelta(minutes=5), conditions=conditions
    )
    codes = [
        service.http.post(
            f"{service.url}/bkt", data=policy["fields"], files={"file": b"x" * size}
        ).status_code
        for size in (1, 2, 4, 5)
    ]
    assert codes == [400, 204, 204, 400]
    service.client.bucket("bkt").blob("form/2").delete()
