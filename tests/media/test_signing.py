"""Signed URLs: the official client's to the letter, signed by signBlob, kept while they live."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from google.cloud import storage
from google.oauth2 import service_account

from shared.deadline import budget
from shared.errors import Unavailable
from shared.media import signing
from shared.media.signing import IAMBlobSigner, ReadURLs, URLSigner
from tests.fixtures.emulated import free_port
from tests.fixtures.web import Answer, Asked, Web, as_json, serving

NOW = datetime(2026, 11, 25, 12, 34, 56, tzinfo=UTC)
EMAIL = "media@project.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
UPLOAD = {
    "content-type": "image/jpeg",
    "x-goog-content-length-range": "10,10",
    "x-goog-hash": "crc32c=AAAAAA==",
    "x-goog-if-generation-match": "0",
    "x-goog-meta-traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
}


class LocalKey:
    email = EMAIL

    def __init__(self) -> None:
        self.signed = 0

    def sign(self, content: bytes) -> bytes:
        self.signed += 1
        return KEY.sign(content, padding.PKCS1v15(), hashes.SHA256())


class Tokens:
    def token(self) -> str:
        return "the-token"


@pytest.fixture(scope="module")
def official() -> storage.Client:
    pem = KEY.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    info = {"client_email": EMAIL, "private_key": pem.decode(), "token_uri": "http://x.test/"}
    credentials = service_account.Credentials.from_service_account_info(info)
    return storage.Client(project="p", credentials=credentials)


@pytest.mark.parametrize("endpoint", ["https://storage.googleapis.com", "http://127.0.0.1:3900"])
@pytest.mark.parametrize(
    ("method", "name", "headers", "query"),
    [
        ("PUT", "uploads/abc", UPLOAD, None),
        ("GET", "abc/123/320.webp", {}, None),
        ("DELETE", "a b/ü~x?#%&+", {}, None),
        ("POST", "a", {"x-goog-resumable": "start", "X-Goog-Meta-Mixed": "  two  "}, None),
        ("GET", "a", {}, {"response-content-disposition": "attachment; filename*=UTF-8''a%20b"}),
        ("GET", "a", {}, {"response-content-type": "image/jpeg", "generation": "12"}),
    ],
)
def test_a_url_is_the_official_clients_to_the_letter(
    official: storage.Client,
    endpoint: str,
    method: str,
    name: str,
    headers: dict[str, str],
    query: dict[str, str] | None,
) -> None:
    ours = URLSigner(LocalKey(), endpoint).url(
        method, "b-1", name, now=NOW, expires_in=timedelta(minutes=15), headers=headers, query=query
    )
    with mock.patch("google.cloud.storage._signing._NOW", return_value=NOW):
        theirs = (
            official.bucket("b-1")
            .blob(name)
            .generate_signed_url(
                version="v4",
                expiration=timedelta(minutes=15),
                method=method,
                headers=dict(headers),
                query_parameters=query,
                api_access_endpoint=endpoint,
            )
        )
    assert ours == theirs


# signBlob


@pytest.fixture
def iam() -> Iterator[Web]:
    def sign(asked: Asked) -> Answer:
        content = base64.b64decode(json.loads(asked.body)["payload"])
        return as_json({"keyId": "1", "signedBlob": base64.b64encode(content[::-1]).decode()})

    with serving(sign) as web:
        yield web


def signer(url: str) -> IAMBlobSigner:
    return IAMBlobSigner(EMAIL, url, Tokens())


def test_the_account_signs_as_itself_with_its_own_token(iam: Web) -> None:
    assert signer(iam.url).sign(b"\x00abc") == b"cba\x00"
    (asked,) = iam.asked
    assert asked.path == f"/v1/projects/-/serviceAccounts/{EMAIL.replace('@', '%40')}:signBlob"
    assert asked.headers["Authorization"] == "Bearer the-token"


@pytest.mark.parametrize("first", [Answer(500), Answer(503), Answer(429), Answer(cut=True)])
def test_one_lost_answer_is_asked_for_again(iam: Web, first: Answer) -> None:
    whole = iam.answer
    answers = [lambda _: first, whole]
    iam.answer = lambda asked: answers.pop(0)(asked)
    assert signer(iam.url).sign(b"ab") == b"ba"
    assert len(iam.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer(403),
        Answer(404),
        Answer(200, b"no json"),
        as_json({}),
        as_json([]),
        as_json({"signedBlob": "%%%"}),
        as_json({"signedBlob": 7}),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(iam: Web, answer: Answer) -> None:
    iam.answer = lambda _: answer
    with pytest.raises(Unavailable):
        signer(iam.url).sign(b"ab")
    assert len(iam.asked) == 1


def test_a_service_that_stays_away_or_hangs_is_told(
    iam: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unavailable):
        signer(f"http://127.0.0.1:{free_port()}").sign(b"ab")
    iam.answer = lambda _: Answer(500)
    with pytest.raises(Unavailable):
        signer(iam.url).sign(b"ab")
    assert len(iam.asked) == 2

    def hang(_: Asked) -> Answer:
        iam.ended.wait()
        return Answer(200)

    iam.answer = hang
    monkeypatch.setattr(signing, "_READ", 0.2)
    with pytest.raises(Unavailable):
        signer(iam.url).sign(b"ab")


def test_a_request_without_time_left_asks_for_no_signature(iam: Web) -> None:
    with budget(0), pytest.raises(Unavailable):
        signer(iam.url).sign(b"ab")
    assert iam.asked == []


# Read URLs


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def urls() -> tuple[ReadURLs, LocalKey, Clock]:
    key, clock = LocalKey(), Clock()
    return ReadURLs(URLSigner(key, "https://storage.googleapis.com"), clock), key, clock


def test_a_page_of_pictures_is_signed_in_its_order_and_once(urls: Any) -> None:
    reads, key, _ = urls
    names = [f"m{number}/1/320.webp" for number in range(20)]
    signed = reads.of("b", names)
    assert [url.split("?")[0].rpartition("/b/")[2] for url in signed] == names
    assert reads.of("b", names) == signed
    assert key.signed == 20


def test_a_kept_url_is_given_out_only_while_it_has_life_left(urls: Any) -> None:
    reads, key, clock = urls
    (first,) = reads.of("b", ["a"])
    clock.now += timedelta(seconds=149)
    assert reads.of("b", ["a"]) == [first]
    clock.now += timedelta(seconds=2)
    (second,) = reads.of("b", ["a"])
    assert second != first
    assert key.signed == 2


def test_the_same_name_in_two_buckets_is_two_urls(urls: Any) -> None:
    reads, _, _ = urls
    assert reads.of("b", ["a"]) != reads.of("c", ["a"])


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(
    urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "_KEPT", 3)
    reads, key, clock = urls
    reads.of("b", ["a", "b", "c"])
    clock.now += timedelta(seconds=200)
    # Signed anew, `a` is the youngest; `d` then pushes `b` out.
    reads.of("b", ["a"])
    reads.of("b", ["d"])
    signed = key.signed
    reads.of("b", ["a"])
    assert key.signed == signed


def test_one_failure_fails_the_page_and_nothing_is_kept_of_it(urls: Any) -> None:
    reads, key, _ = urls

    def refuse(content: bytes) -> bytes:
        raise Unavailable

    key.sign = refuse
    with pytest.raises(Unavailable):
        reads.of("b", ["a", "b"])
    del key.sign
    assert len(reads.of("b", ["a", "b"])) == 2


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.jpg", "attachment; filename=\"a.jpg\"; filename*=UTF-8''a.jpg"),
        ('a"b\\c%.jpg', "attachment; filename=\"a_b_c_.jpg\"; filename*=UTF-8''a%22b%5Cc%25.jpg"),
        ("Öl ☃.jpg", "attachment; filename=\"_l _.jpg\"; filename*=UTF-8''%C3%96l%20%E2%98%83.jpg"),
        ("a\r\nX: 1", "attachment; filename=\"a__X: 1\"; filename*=UTF-8''a%0D%0AX%3A%201"),
    ],
)
def test_a_file_name_of_any_kind_is_carried_safely(name: str, wanted: str) -> None:
    assert signing._disposition(name) == wanted
