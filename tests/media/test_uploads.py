"""Announcing and receiving uploads over HTTP: bounds, keys, lost answers, time running out."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Response

from shared.documents import MemoryDocuments
from shared.errors import Unavailable
from shared.ids import new_id
from shared.media.api_model import MAX_DIRECT_UPLOAD, MAX_UPLOAD, SignedUpload, UploadRequest
from shared.media.checksums import crc32c_of
from shared.media.gallery import Gallery
from shared.media.http import routes
from shared.media.model import MediaRejected
from shared.media.quota import FULL, Quota
from shared.media.signing import URLSigner
from shared.media.store import MediaStore
from shared.media.trash import Trash
from shared.media.uploads import UPLOAD_EXPIRY, HTTPDelivery, Uploads
from shared.media.waiting import Waiting
from tests.fixtures import pictures
from tests.fixtures.api import ADA, API, BOB, Links
from tests.fixtures.emulated import free_port
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.fixtures.web import Answer, Asked, Web, serving
from tests.media.world import PHOTO

LIMIT = 10**9
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BODY: dict[str, Any] = {
    "fileName": "a.jpg",
    "contentType": "image/jpeg",
    "size": len(PHOTO),
    "crc32c": crc32c_of([PHOTO]),
}
REQUEST = UploadRequest.model_validate(BODY)


class Plain:
    email = "media@test"

    def sign(self, content: bytes) -> bytes:
        return content[:4]


class Bucket:
    """What the function delivers to; `broken` lets nothing through."""

    def __init__(self) -> None:
        self.taken: dict[str, bytes] = {}
        self.broken = False

    def __call__(self, upload: SignedUpload, body: Any) -> None:
        if self.broken:
            raise Unavailable
        self.taken[urlsplit(upload.url).path] = body.read()


class World:
    def __init__(self, documents: MemoryDocuments) -> None:
        self.now = NOW
        self.budget = Budget()
        self.store = MediaStore(WatchedDocuments(documents, self.budget))
        self.bucket = Bucket()
        self.blobs = Plain()
        gallery = Gallery(self.store, Links(), renditions_bucket="r", media_bucket="m")
        self.uploads = Uploads(
            gallery,
            Quota(self.store, LIMIT),
            URLSigner(self.blobs, "https://storage.test"),
            inbox_bucket="inbox",
            deliver=self.bucket,
            clock=lambda: self.now,
        )
        self.api = API(
            "media", routes(gallery, self.uploads, Trash(self.store, gallery), Waiting())
        )

    def send(self, content: bytes, name: str = "a.jpg", **headers: str) -> Response:
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"'
        body = f"--x\r\n{head}\r\nContent-Type: application/x-lie\r\n\r\n".encode()
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        named["Content-Type"] = "multipart/form-data; boundary=x"
        return self.api("POST", "/upload", body + content + b"\r\n--x--\r\n", headers=named)

    def listed(self, user: str = ADA) -> list[Any]:
        items: list[Any] = self.api.read("/", user)["items"]
        return items


@pytest.fixture
def world() -> World:
    return World(memory_documents())


def test_a_ticket_binds_the_announced_bytes_to_the_letter(world: World) -> None:
    answer = world.api("POST", "/uploads", BODY)
    ticket = answer.get_json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/media/{ticket['mediaId']}"
    upload = ticket["upload"]
    trace = upload["headers"].pop("x-goog-meta-traceparent")
    assert len(trace) == 55
    assert upload["headers"] == {
        "content-type": "image/jpeg",
        "x-goog-content-length-range": f"{len(PHOTO)},{len(PHOTO)}",
        "x-goog-hash": f"crc32c={BODY['crc32c']}",
        "x-goog-if-generation-match": "0",
    }
    url = urlsplit(upload["url"])
    query = parse_qs(url.query)
    assert url.path == f"/inbox/uploads/{ticket['mediaId']}"
    assert query["X-Goog-Expires"] == ["900"]
    # Every header of the ticket is signed, so none can be left out or changed.
    assert set(query["X-Goog-SignedHeaders"][0].split(";")) == {
        "host",
        "x-goog-meta-traceparent",
        *upload["headers"],
    }
    assert world.api.read(f"/{ticket['mediaId']}")["state"] == "pending"


def test_the_callers_trace_goes_along_and_a_malformed_one_does_not(world: World) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    for sent, kept in ((trace, True), (trace.upper(), False), ("x\r\n", False)):
        ticket = world.api.make("/uploads", BODY, traceparent=sent.strip())
        seen = ticket["upload"]["headers"]["x-goog-meta-traceparent"]
        assert (seen == sent) is kept


OUT_OF_BOUNDS: list[tuple[str, Any]] = [
    *[("fileName", name) for name in ("", " ", ".", "..", "a/b", "a\\b", "../../etc/passwd")],
    *[("fileName", name) for name in ("a\r\nb", "a\0", "a\x7f", "gpj.\u202eexe", "x" * 256)],
    ("fileName", "x" * 5000),
    *[("size", size) for size in (0, -1, MAX_UPLOAD + 1, 1.5, "1", True, None)],
    *[("contentType", kind) for kind in ("image/svg+xml", "text/html", "IMAGE/JPEG", "", None)],
    *[("crc32c", sum_) for sum_ in ("", "AAAA", "AAAAAA=", "AAAAAB==", "AAAAA-==", "AAAAAA==\n")],
]


@pytest.mark.parametrize(("field", "value"), OUT_OF_BOUNDS)
def test_an_announcement_out_of_bounds_is_refused(world: World, field: str, value: Any) -> None:
    answer = world.api("POST", "/uploads", BODY | {field: value})
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.get_json()["errors"]} == {f"/{field}"}
    assert world.listed() == []


@pytest.mark.parametrize("name", ["x" * 255, "Öl ☃ 🎉.jpg", "a b.jpg", ".hidden", "<b>.jpg", "'"])
def test_a_file_name_that_is_only_unusual_is_taken(world: World, name: str) -> None:
    media_id = world.api.make("/uploads", BODY | {"fileName": name})["mediaId"]
    assert world.api.read(f"/{media_id}")["fileName"] == name


def test_a_name_is_kept_in_one_form_of_unicode(world: World) -> None:
    media_id = world.api.make("/uploads", BODY | {"fileName": "e\u0301.jpg"})["mediaId"]
    assert world.api.read(f"/{media_id}")["fileName"] == "\u00e9.jpg"


# The same request again


def test_the_same_key_and_request_is_the_same_medium(world: World) -> None:
    tickets = [world.api.make("/uploads", BODY, Idempotency_Key="k") for _ in range(2)]
    assert tickets[0]["mediaId"] == tickets[1]["mediaId"]
    assert len(world.listed()) == 1
    world.now += timedelta(minutes=5)
    later = world.api.make("/uploads", BODY, Idempotency_Key="k")["upload"]
    assert later["expiresAt"] == tickets[0]["upload"]["expiresAt"]
    assert parse_qs(urlsplit(later["url"]).query)["X-Goog-Expires"] == ["600"]


@pytest.mark.parametrize(("field", "value"), [("size", 7), ("fileName", "b.jpg")])
def test_the_same_key_for_another_request_is_a_conflict(
    world: World, field: str, value: Any
) -> None:
    world.api.make("/uploads", BODY, Idempotency_Key="k")
    headers = {"Idempotency-Key": "k"}
    answer = world.api("POST", "/uploads", BODY | {field: value}, headers=headers)
    assert answer.status_code == 409


def test_two_people_may_use_the_same_key(world: World) -> None:
    ada = world.api.make("/uploads", BODY, Idempotency_Key="k")["mediaId"]
    bob = world.api.make("/uploads", BODY, BOB, Idempotency_Key="k")["mediaId"]
    assert ada != bob


def test_a_ticket_whose_time_is_over_is_not_signed_again(world: World) -> None:
    world.api.make("/uploads", BODY, Idempotency_Key="k")
    world.now += UPLOAD_EXPIRY
    answer = world.api("POST", "/uploads", BODY, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 409


# Giving up


def test_an_upload_that_waits_can_be_given_up_by_its_owner_only(world: World) -> None:
    media_id = world.api.make("/uploads", BODY)["mediaId"]
    assert world.api("DELETE", f"/uploads/{media_id}", user=BOB).status_code == 404
    assert world.api("DELETE", f"/uploads/{media_id}").status_code == 204
    assert world.api("DELETE", f"/uploads/{media_id}").status_code == 404
    assert world.listed() == []


# Through the function


def test_a_file_is_delivered_under_the_type_of_its_content(world: World) -> None:
    answer = world.send(PHOTO)
    medium = answer.get_json()
    assert answer.status_code == 201
    assert (medium["state"], medium["contentType"]) == ("pending", "image/jpeg")
    assert world.bucket.taken == {f"/inbox/uploads/{medium['id']}": PHOTO}


@pytest.mark.parametrize(
    "content",
    [b"<svg/>", b"%PDF-2", b"PK\x03\x04", b"\xff", b"BM\0" + b"x" * 99, b"\xef\xbb\xbf <p>"],
)
def test_a_file_of_no_taken_kind_is_refused(world: World, content: bytes) -> None:
    assert world.send(content).status_code == 415
    assert world.listed() == []
    assert world.bucket.taken == {}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        ("Grüße".encode() * 5000, "text/plain"),
        (pictures.heic(pictures.photo(80, 60)), "image/heic"),
        (pictures.saved(pictures.photo(80, 60), "TIFF"), "image/tiff"),
    ],
)
def test_the_head_of_a_file_tells_what_it_seems_to_be(
    world: World, content: bytes, kind: str
) -> None:
    """Whether it is, the pipeline tells of the whole."""
    answer = world.send(content)
    assert (answer.status_code, answer.get_json()["contentType"]) == (201, kind)


def test_an_empty_file_is_refused(world: World) -> None:
    assert world.send(b"").status_code in (415, 422)
    assert world.listed() == []


def test_a_file_over_the_limit_is_refused(world: World) -> None:
    answer = world.send(PHOTO + b"\0" * (MAX_DIRECT_UPLOAD - len(PHOTO) + 1))
    assert answer.status_code == 413
    assert world.listed() == []
    assert world.send(PHOTO + b"\0" * (MAX_DIRECT_UPLOAD - len(PHOTO))).status_code == 201


@pytest.mark.parametrize("name", ["../a.jpg", "a/b.jpg", "x" * 300 + ".jpg"])
def test_a_multipart_name_is_held_to_the_same_bounds(world: World, name: str) -> None:
    assert world.send(PHOTO, name).status_code == 422
    assert world.listed() == []


def test_a_bucket_out_of_reach_leaves_nothing_behind(world: World) -> None:
    world.bucket.broken = True
    assert world.send(PHOTO).status_code == 503
    assert world.listed() == []


def test_with_a_key_the_same_medium_is_sent_when_asked_again(world: World) -> None:
    world.bucket.broken = True
    assert world.send(PHOTO, Idempotency_Key="k").status_code == 503
    world.bucket.broken = False
    again = world.send(PHOTO, Idempotency_Key="k")
    assert again.status_code == 201
    assert [one["id"] for one in world.listed()] == [again.get_json()["id"]]
    assert list(world.bucket.taken.values()) == [PHOTO]


def test_an_empty_key_is_none(world: World) -> None:
    for content in (PHOTO, PHOTO[:-2]):
        assert world.send(content, Idempotency_Key="").status_code == 201
    headers = {"Idempotency-Key": ""}
    for size in (1, 2):
        answer = world.api("POST", "/uploads", BODY | {"size": size}, headers=headers)
        assert answer.status_code == 201
    world.bucket.broken = True
    assert world.send(PHOTO, Idempotency_Key="").status_code == 503
    assert len(world.listed()) == 4


def test_a_file_that_was_settled_before_its_lost_answer_is_no_failure(world: World) -> None:
    """The bucket took it and the pipeline was faster; a 503 would have it uploaded twice."""

    def settled(upload: SignedUpload, body: Any) -> None:
        medium = world.store.get(urlsplit(upload.url).path.rpartition("/")[2])
        assert medium is not None
        reason = {"reason": "truncated"}
        event = MediaRejected(
            id=new_id(), occurred_at=NOW, owner=ADA, media_id=medium.id, reason="truncated"
        )
        world.store.change(medium, "rejected", reason, event)
        raise Unavailable

    world.uploads._deliver = settled
    answer = world.send(PHOTO)
    assert (answer.status_code, answer.get_json()["state"]) == (201, "rejected")
    assert [one["state"] for one in world.listed()] == ["rejected"]


def test_what_an_upload_costs_in_reads_and_writes(world: World) -> None:
    world.api.make("/uploads", BODY)
    assert world.budget.taken() == {"commit": 1}
    assert world.send(PHOTO).status_code == 201
    assert world.budget.taken() == {"commit": 1, "get": 1}


# Room


def fill(world: World, size: int) -> None:
    world.store.create(new_id(), dict(world.uploads._draft(ADA, REQUEST, None)) | {"size": size})


def test_beyond_the_limit_nothing_is_made_and_the_answer_says_why(world: World) -> None:
    fill(world, LIMIT - len(PHOTO))
    before = world.listed()
    for headers in ({}, {"Idempotency-Key": "k"}):
        answer = world.api("POST", "/uploads", BODY | {"size": len(PHOTO) + 1}, headers=headers)
        problem = answer.get_json()
        assert (answer.status_code, problem["type"]) == (409, "/problems/quota-exceeded")
    assert world.listed() == before
    assert world.send(PHOTO).status_code == 201
    assert world.send(PHOTO).get_json()["type"] == "/problems/quota-exceeded"
    assert world.api("POST", "/uploads", BODY, user=BOB).status_code == 201


def test_a_signature_that_fails_has_reserved_nothing(world: World) -> None:
    def broken(_: bytes) -> bytes:
        raise Unavailable

    world.blobs.sign = broken  # type: ignore[method-assign]
    assert world.api("POST", "/uploads", BODY).status_code == 503
    assert world.listed() == []
    assert world.store.usage(ADA).taken == 0


# Resumable


def test_a_large_file_gets_a_second_way_that_can_be_resumed(world: World) -> None:
    large = BODY | {"size": 8_000_001}
    for body, has_one in ((large, True), (BODY | {"resumable": True}, True), (BODY, False)):
        ticket = world.api.make("/uploads", body)
        assert ticket["upload"]["method"] == "PUT"
        assert (ticket["resumable"] is not None) is has_one
    start = world.api.make("/uploads", large)["resumable"]
    query = parse_qs(urlsplit(start["url"]).query)
    trace = start["headers"].pop("x-goog-meta-traceparent")
    assert start["method"] == "POST"
    assert start["headers"] == {
        "content-type": "image/jpeg",
        "x-goog-if-generation-match": "0",
        "x-goog-resumable": "start",
    }
    assert len(trace) == 55
    assert set(query["X-Goog-SignedHeaders"][0].split(";")) == {
        "host",
        "x-goog-meta-traceparent",
        *start["headers"],
    }


# Many files


def batch(*changes: dict[str, Any]) -> dict[str, Any]:
    return {"files": [BODY | change for change in changes]}


def test_many_files_are_announced_at_once_each_as_its_own_medium(world: World) -> None:
    names = [{"fileName": f"{n}.jpg", "resumable": True} for n in range(50)]
    items = world.api.make("/uploads/batch", batch(*names))["items"]
    assert all(one["problem"] is None for one in items)
    media = [one["ticket"]["mediaId"] for one in items]
    assert len(set(media)) == 50
    assert world.api.read(f"/{media[7]}")["fileName"] == "7.jpg"
    assert all(media[n] in items[n]["ticket"]["upload"]["url"] for n in range(50))
    assert world.budget.taken() == {"get": 2, "commit": 1}


def test_what_does_not_fit_is_refused_by_itself(world: World) -> None:
    fill(world, LIMIT - 100)
    items = world.api.make(
        "/uploads/batch", batch({"size": 60}, {"size": 50}, {"size": 40}, {"size": 1})
    )["items"]
    assert [one["ticket"] is not None for one in items] == [True, False, True, False]
    assert items[1]["problem"] == {
        "type": "/problems/quota-exceeded",
        "title": "There is no room left for it",
        "status": 409,
        "detail": FULL,
    }
    assert world.store.usage(ADA).taken == LIMIT


def test_the_same_batch_under_the_same_key_is_the_same_media(world: World) -> None:
    first, again = (
        world.api.make("/uploads/batch", batch({}, {"size": 7}), Idempotency_Key="k")["items"]
        for _ in range(2)
    )
    assert [one["ticket"]["mediaId"] for one in first] == [
        one["ticket"]["mediaId"] for one in again
    ]
    other = world.api.make("/uploads/batch", batch({}, {"size": 8}), Idempotency_Key="k")["items"]
    assert other[0]["ticket"] is not None
    assert other[1]["problem"]["type"] == "/problems/conflict"
    assert len(world.listed()) == 2


@pytest.mark.parametrize("files", [[], [BODY] * 51, [BODY, BODY | {"size": 0}], [None], "x"])
def test_a_batch_out_of_bounds_is_refused_whole(world: World, files: Any) -> None:
    assert world.api("POST", "/uploads/batch", {"files": files}).status_code == 422
    assert world.listed() == []


def test_the_longest_batch_is_not_too_large(world: World) -> None:
    body = {"files": [BODY | {"fileName": "\U0001f389" * 255}] * 50}
    raw = json.dumps(body, ensure_ascii=False).encode()
    assert world.api("POST", "/uploads/batch", raw).status_code == 200


def test_a_key_of_what_was_given_up_starts_nothing(world: World) -> None:
    media_id = world.api.make("/uploads", BODY, Idempotency_Key="k")["mediaId"]
    world.api("DELETE", f"/uploads/{media_id}")
    answer = world.api("POST", "/uploads", BODY, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 409
    assert world.listed() == []


# The delivery itself


@pytest.fixture
def storage() -> Iterator[Web]:
    with serving(lambda _: Answer(200)) as web:
        yield web


def deliver(url: str) -> None:
    signed = SignedUpload(method="PUT", url=f"{url}/b/n?x=1", headers={"x-a": "1"}, expires_at=NOW)
    HTTPDelivery()(signed, io.BytesIO(PHOTO))


def test_the_bytes_are_put_with_the_tickets_headers(storage: Web) -> None:
    deliver(storage.url)
    (asked,) = storage.asked
    assert (asked.method, asked.path, asked.body) == ("PUT", "/b/n?x=1", PHOTO)
    assert asked.headers["x-a"] == "1"


@pytest.mark.parametrize("first", [Answer(503), Answer(429), Answer(cut=True)])
@pytest.mark.parametrize("second", [Answer(200), Answer(412)])
def test_a_lost_answer_is_asked_for_again_and_412_says_that_it_stands(
    storage: Web, first: Answer, second: Answer
) -> None:
    answers = [first, second]
    storage.answer = lambda _: answers.pop(0)
    deliver(storage.url)
    assert [asked.body for asked in storage.asked] == [PHOTO, PHOTO]


@pytest.mark.parametrize(("status", "times"), [(403, 1), (400, 1), (404, 1), (500, 2)])
def test_a_refusal_is_not_repeated_and_an_outage_not_for_long(
    storage: Web, status: int, times: int
) -> None:
    def refuse(_: Asked) -> Answer:
        return Answer(status)

    storage.answer = refuse
    with pytest.raises(Unavailable):
        deliver(storage.url)
    assert len(storage.asked) == times


def test_nobody_there_is_told() -> None:
    with pytest.raises(Unavailable):
        deliver(f"http://127.0.0.1:{free_port()}")
