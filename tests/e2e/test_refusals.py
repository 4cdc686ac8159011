"""Bad input, each refused in the one error shape, with nothing stored, made or left behind."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest

from emulators.scanner import EICAR
from tests.fixtures import http, pictures
from tests.fixtures.stack import Person, Stack, announced, eventually, put

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
PHOTO = pictures.saved(pictures.photo(320, 240), "JPEG")
BUCKETS = ("inbox", "media", "renditions")


@pytest.fixture(autouse=True)
def nothing_is_left(stack: Stack) -> Iterator[None]:
    eventually(lambda: stack.objects("inbox"), lambda names: not names)
    before = {bucket: stack.objects(bucket) for bucket in BUCKETS}
    yield
    after = eventually(
        lambda: {bucket: stack.objects(bucket) for bucket in BUCKETS}, lambda now: now == before
    )
    assert after == before


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["Content-Type"] == "application/problem+json", answer.text
    body = dict(answer.json())
    assert body["status"] == answer.status_code
    assert {"type", "title"} <= set(body)
    return body


# The API's side of the door


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "x" * 6000, "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30."]
)
@pytest.mark.parametrize("path", ["/tasks", "/media", "/auth/me"])
def test_a_wrong_token_is_refused(stack: Stack, path: str, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert problem(http.get(f"{stack.url}/api{path}", headers=headers))["status"] == 401


def test_a_token_with_a_flipped_letter_is_refused(person: Person) -> None:
    token = person.tokens["accessToken"]
    mac = token.rpartition(".")[2]
    # The last letter of the claims, and one of the signature.
    for at in (len(token) - len(mac) - 2, len(token) - len(mac) + 20):
        broken = token[:at] + ("B" if token[at] == "A" else "A") + token[at + 1 :]
        answer = person.api.get("/tasks", headers={"Authorization": f"Bearer {broken}"})
        assert problem(answer)["status"] == 401


def test_what_is_somebody_elses_looks_like_what_is_not_there(
    person: Person, stranger: Person
) -> None:
    task, medium = person.task(), person.ticket(PHOTO)["mediaId"]
    missing = "a" * 20
    for mine, none in (
        (f"/tasks/{task['id']}", f"/tasks/{missing}"),
        (f"/tasks/{task['id']}/with-media", f"/tasks/{missing}/with-media"),
        (f"/media/{medium}", f"/media/{missing}"),
        (f"/media/{medium}/download", f"/media/{missing}/download"),
        (f"/media/{medium}/thumbnail", f"/media/{missing}/thumbnail"),
    ):
        seen, nothing = problem(stranger.api.get(mine)), problem(stranger.api.get(none))
        assert seen["status"] == 404
        seen.pop("instance"), nothing.pop("instance")
        assert seen == nothing
    for method, path in (("DELETE", f"/tasks/{task['id']}"), ("DELETE", f"/media/{medium}")):
        assert problem(stranger.api.request(method, path))["status"] == 404
    own = stranger.task()
    answer = stranger.api.post(f"/tasks/{own['id']}/attach-media", json={"mediaId": medium})
    assert problem(answer)["status"] == 404
    assert person.api.get(f"/tasks/{task['id']}").status_code == 200


@pytest.mark.parametrize(
    "path", ["/tasks/..", "/tasks/%2e%2e", "/media/..%2f..%2fx", "/media/__x__", "/tasks/%00"]
)
def test_an_id_that_cannot_be_one_is_not_there(stack: Stack, person: Person, path: str) -> None:
    # As raw bytes: a client library tidies such a path up.
    url = httpx.URL(stack.url).copy_with(raw_path=f"/api{path}".encode())
    assert problem(person.api.get(url))["status"] == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"title": ', 400),
        (b"[" * 50_000 + b"]" * 50_000, 413),
        (b'{"title":' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        (b'{"title": "a", "title": "b"}', 400),
        (b'{"title": NaN}', 400),
        (b'{"title": "\\ud800"}', 400),
        (b'{"title": 1}', 422),
        (b'{"title": "a", "owner": "me"}', 422),
        (b"[]", 422),
    ],
)
def test_json_that_means_nothing_is_refused(person: Person, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    assert problem(person.api.post("/tasks", content=body, headers=headers))["status"] == status


@pytest.mark.parametrize(
    "changes",
    [
        {"fileName": "../../etc/passwd"},
        {"fileName": "a\r\nX-Evil: 1.jpg"},
        {"fileName": "x" * 5000},
        {"contentType": "image/svg+xml"},
        {"contentType": "text/html"},
        {"size": 0},
        {"size": 51 * 1024 * 1024},
        {"size": "320"},
        {"crc32c": "AAAA"},
    ],
)
def test_an_announcement_out_of_bounds_is_refused(person: Person, changes: dict[str, Any]) -> None:
    answer = person.api.post("/media/uploads", json=announced(PHOTO, "image/jpeg") | changes)
    assert problem(answer)["errors"][0]["pointer"] == f"/{next(iter(changes))}"
    assert person.api.get("/media").json()["items"] == []


def test_a_file_over_the_direct_routes_limit_is_refused(person: Person) -> None:
    files = {"file": ("big.jpg", PHOTO + b"\0" * (10 * 1024 * 1024))}
    assert problem(person.api.post("/media/upload", files=files))["status"] == 413
    assert person.api.get("/media").json()["items"] == []


# The bucket's side of the door


def test_a_url_serves_nothing_but_what_was_signed(person: Person) -> None:
    ticket = person.ticket(PHOTO)
    parts = urlsplit(ticket["upload"]["url"])
    query = dict(parse_qsl(parts.query))
    tampered = {
        "signature": query | {"X-Goog-Signature": "0" * 512},
        "expiry": query | {"X-Goog-Expires": "604800"},
        "date": query | {"X-Goog-Date": "20200101T000000Z"},
        "more": query | {"x": "1"},
    }
    for name, changed in tampered.items():
        url = parts._replace(query=urlencode(changed)).geturl()
        answer = put({"upload": ticket["upload"] | {"url": url}}, PHOTO)
        assert answer.status_code in (400, 403), (name, answer.text)
    other = "y" if parts.path.endswith("x") else "x"
    path = parts._replace(path=parts.path[:-1] + other).geturl()
    assert put({"upload": ticket["upload"] | {"url": path}}, PHOTO).status_code == 403
    assert http.get(ticket["upload"]["url"]).status_code in (400, 403)
    assert person.medium(ticket["mediaId"])["state"] == "pending"


def test_a_url_after_its_time_is_refused(stack: Stack, person: Person) -> None:
    ticket = person.ticket(PHOTO)
    faults = f"{stack.plan.url('storage')}/_emulator/faults"
    json = {"Content-Type": "application/json"}
    assert http.post(faults, json={"kind": "clock", "seconds": 901}).status_code == 201
    try:
        answer = put(ticket, PHOTO)
        assert answer.status_code == 400
        assert "ExpiredToken" in answer.text
    finally:
        assert http.delete(faults, headers=json).status_code == 204


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (PHOTO + b"\0", {}),
        (PHOTO[:-1], {}),
        (PHOTO[:-1] + b"\0", {}),
        (PHOTO, {"content-type": "text/html"}),
        (PHOTO, {"x-goog-hash": "crc32c=AAAAAA=="}),
        (PHOTO, {"x-goog-if-generation-match": "1"}),
        (PHOTO, {"x-goog-content-length-range": "0,99999999"}),
        (PHOTO, {"x-goog-meta-evil": "1"}),
        (PHOTO, {"x-goog-acl": "public-read"}),
    ],
)
def test_bytes_other_than_announced_are_refused(
    person: Person, content: bytes, headers: dict[str, str]
) -> None:
    ticket = person.ticket(PHOTO)
    answer = put(ticket, content, **headers)
    assert answer.status_code in (400, 403, 412), answer.text
    assert person.medium(ticket["mediaId"])["state"] == "pending"


def test_a_second_put_to_a_used_url_is_refused(stack: Stack, person: Person) -> None:
    paused = {"seed": 1, "delay": 1.0, "delaySeconds": 1.0}
    url = f"{stack.plan.url('platform')}/_emulator/chaos"
    assert http.post(url, json=paused).status_code == 200
    try:
        ticket = person.ticket(PHOTO)
        assert put(ticket, PHOTO).status_code == 200
        assert put(ticket, PHOTO).status_code == 412
    finally:
        http.delete(url)
    medium = person.settled(ticket["mediaId"])
    assert medium["state"] == "ready"
    _erase(stack, medium["id"])


def test_a_put_after_the_upload_was_given_up_takes_itself_away(person: Person) -> None:
    ticket = person.ticket(PHOTO)
    assert person.api.delete(f"/media/uploads/{ticket['mediaId']}").status_code == 204
    assert put(ticket, PHOTO).status_code == 200
    assert person.api.get(f"/media/{ticket['mediaId']}").status_code == 404


# Behind the door: what the bucket let in as announced and is no picture


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.jpg", PHOTO)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("truncated", PHOTO[: len(PHOTO) * 2 // 3], "image/jpeg"),
        ("bomb", pictures.bomb_png(), "image/png"),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "image/png"),
        ("html", b"<!doctype html><script>alert(1)</script>", "image/jpeg"),
        ("zip", zipped(), "image/jpeg"),
        ("another type", PHOTO, "image/png"),
        ("a picture that is a zip as well", PHOTO + zipped(), "image/jpeg"),
        ("a virus alone", EICAR, "text/plain"),
        ("a virus behind a picture", PHOTO + EICAR, "image/jpeg"),
        ("half a PDF", b"%PDF-1.7\n1 0 obj", "application/pdf"),
    ],
)
def test_what_is_no_picture_is_rejected_with_its_reason(
    person: Person, name: str, content: bytes, kind: str
) -> None:
    medium = person.settled(person.upload(content, kind))
    assert medium["state"] == "rejected", name
    assert medium["reason"]
    assert medium["renditions"] == []
    for path in ("download", "thumbnail"):
        assert problem(person.api.get(f"/media/{medium['id']}/{path}"))["status"] == 409
    task = person.task()
    answer = person.api.post(f"/tasks/{task['id']}/attach-media", json={"mediaId": medium["id"]})
    assert problem(answer)["status"] == 404


def test_a_multipart_file_that_is_no_picture_is_refused(person: Person) -> None:
    files = {"file": ("photo.jpg", b"<svg/>", "image/jpeg")}
    assert problem(person.api.post("/media/upload", files=files))["status"] == 415
    assert person.api.get("/media").json()["items"] == []


# The platform's side


def finalized(bucket: str, name: str) -> dict[str, Any]:
    return {
        "bucket": bucket,
        "name": name,
        "generation": "1795600000000000",
        "size": "10",
        "contentType": "image/jpeg",
    }


CLOUD_EVENT = {
    "ce-id": "1",
    "ce-specversion": "1.0",
    "ce-type": "google.cloud.storage.object.v1.finalized",
    "ce-source": "//storage.googleapis.com/projects/_/buckets/x",
}


@pytest.mark.parametrize("token", [None, "x", "the person's"])
@pytest.mark.parametrize("function", ["thumbnails", "activity", "maintenance"])
def test_a_forged_event_is_refused(
    stack: Stack, person: Person, function: str, token: str | None
) -> None:
    ticket = person.ticket(PHOTO)
    body = finalized(stack.plan.bucket("inbox"), f"uploads/{ticket['mediaId']}")
    headers = dict(CLOUD_EVENT)
    if token:
        given = person.tokens["accessToken"] if token.startswith("the") else token
        headers["Authorization"] = f"Bearer {given}"
    url = stack.plan.url(function)
    path = "/sweep-outbox" if function == "maintenance" else "/"
    assert problem(http.post(url + path, json=body, headers=headers))["status"] == 401
    assert person.medium(ticket["mediaId"])["state"] == "pending"


@pytest.mark.parametrize("name", ["uploads/" + "a" * 20, "uploads/..", "x", "uploads/ü ?#"])
def test_an_object_that_nobody_announced_is_taken_away(stack: Stack, name: str) -> None:
    blob = stack.storage.bucket(stack.plan.bucket("inbox")).blob(name)
    blob.upload_from_string(PHOTO, content_type="image/jpeg")
    assert name not in eventually(lambda: stack.objects("inbox"), lambda left: name not in left)


def _erase(stack: Stack, media_id: str) -> None:
    """So that the fixture finds what it found before."""
    for bucket in ("media", "renditions"):
        for blob in stack.storage.list_blobs(stack.plan.bucket(bucket), prefix=f"{media_id}/"):
            blob.delete()
