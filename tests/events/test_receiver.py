"""An event function's door: who may come in, what is understood, what is asked to come again."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import functions_framework
import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder, run_wsgi_app

from shared.errors import Invalid, NotFound, Unauthenticated, Unavailable
from shared.events.http import FINALIZED, Receiver
from shared.events.model import Delivered, FinalizedObject

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
RESOURCE = {
    "kind": "storage#object",
    "bucket": "inbox",
    "name": "uploads/ünï code ",
    "generation": "1700000000000001",
    "size": "10485760",
    "contentType": "image/jpeg",
    "crc32c": "AAAAAA==",
    "metadata": {"traceparent": TRACE},
}
SEEN = FinalizedObject(
    "inbox",
    "uploads/ünï code ",
    1700000000000001,
    10485760,
    "image/jpeg",
    "AAAAAA==",
    TRACE,
)


class Gate:
    """Takes the token `good`; `out` stands for its keys being out of reach."""

    def __init__(self) -> None:
        self.out = False

    def check(self, token: str) -> None:
        if self.out:
            raise Unavailable
        if token != "good":
            raise Unauthenticated


class Function:
    """A receiver of both kinds of events, and what reached its handlers."""

    def __init__(self, *, finalized: bool = True, gate: bool = True) -> None:
        self.seen: list[Any] = []
        self.error: Exception | None = None
        self.gate = Gate()
        self.receiver = Receiver(
            "thumbnails",
            self.gate if gate else None,
            on_finalized=self._take if finalized else None,
            on_message=None if finalized else self._take,
            jobs={"/sweep": lambda: self._take("swept")},
        )

    def _take(self, what: Any) -> None:
        if self.error:
            raise self.error
        self.seen.append(what)

    def call(self, body: Any = b"", path: str = "/", method: str = "POST", **more: Any) -> Response:
        headers = {"Authorization": "Bearer good", **more.pop("headers", {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        builder = EnvironBuilder(path, method=method, headers=headers, data=data, **more)
        environ = builder.get_environ()
        return self.receiver(Request(environ))

    def finalized(self, body: Any, **headers: Any) -> Response:
        return self.call(body, headers={"ce-type": FINALIZED, **headers})


def pushed(data: bytes | None, attributes: Any = None, **more: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"messageId": "1", "publishTime": "2026-11-25T12:00:00Z", **more}
    if data is not None:
        message["data"] = base64.b64encode(data).decode()
    if attributes is not None:
        message["attributes"] = attributes
    return {"subscription": "projects/p/subscriptions/s", "message": message}


def test_a_finalize_event_is_read_from_its_body_and_never_from_its_subject() -> None:
    function = Function()
    answer = function.finalized(RESOURCE, **{"ce-subject": "objects/evil", "ce-bucket": "evil"})
    assert (answer.status_code, answer.get_data()) == (204, b"")
    assert function.seen == [SEEN]


def test_a_storage_notification_that_came_over_a_topic_is_the_same_event() -> None:
    function = Function()
    attributes = {"eventType": "OBJECT_FINALIZE", "objectId": "evil", "bucketId": "evil"}
    body = pushed(json.dumps(RESOURCE).encode(), attributes)
    assert function.call(body).status_code == 204
    kind = "google.cloud.pubsub.topic.v1.messagePublished"
    assert function.call(body, headers={"ce-type": kind}).status_code == 204
    assert function.seen == [SEEN, SEEN]


@pytest.mark.parametrize("kind", [None, "google.cloud.pubsub.topic.v1.messagePublished"])
def test_a_message_of_ours_is_delivered_in_both_forms(kind: str | None) -> None:
    function = Function(finalized=False)
    body = pushed(b"{}", {"id": "e1", "type": "t.v1", "traceparent": TRACE})
    assert function.call(body, headers={"ce-type": kind}).status_code == 204
    assert function.seen == [Delivered("e1", "t.v1", b"{}", TRACE)]


def test_a_message_without_data_is_one() -> None:
    function = Function(finalized=False)
    assert function.call(pushed(None, {"id": "e1", "type": "t"})).status_code == 204
    assert function.seen == [Delivered("e1", "t", b"", None)]


@pytest.mark.parametrize(
    "trace", [None, 7, "", "x" * 55, TRACE.upper(), TRACE + "\n", TRACE + "-00", [TRACE]]
)
def test_a_malformed_trace_is_left_out(trace: Any) -> None:
    function = Function()
    assert function.finalized({**RESOURCE, "metadata": {"traceparent": trace}}).status_code == 204
    assert function.seen[0].traceparent is None


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Bearer bad", "Basic good", "good", "Bearer good good"],
)
@pytest.mark.parametrize("path", ["/", "/sweep", "/elsewhere"])
def test_without_the_platforms_token_nothing_is_done_or_told(
    authorization: str | None, path: str
) -> None:
    function = Function()
    headers = {"Authorization": authorization, "ce-type": FINALIZED}
    answer = function.call(RESOURCE, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.mimetype == "application/problem+json"
    assert function.seen == []
    assert b"good" not in answer.get_data()


def test_a_forged_caller_is_refused_before_his_body_is_read() -> None:
    function = Function()

    class Untouchable(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

        readline = readinto = read  # type: ignore[assignment]

    environ = EnvironBuilder("/", method="POST").get_environ()
    environ |= {"wsgi.input": Untouchable(), "CONTENT_LENGTH": "60000000"}
    assert function.receiver(Request(environ)).status_code == 401


def test_keys_out_of_reach_ask_for_another_delivery() -> None:
    function = Function()
    function.gate.out = True
    answer = function.finalized(RESOURCE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert function.seen == []


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RESOURCE.items() if key != name}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"\xff\xfe",
        b'{"a":1,"a":2}',
        b"[" * 100_000,
        b'{"a":' * 40_000,
        {},
        without("bucket"),
        without("name"),
        without("generation"),
        without("size"),
        {**RESOURCE, "name": ""},
        {**RESOURCE, "name": 7},
        {**RESOURCE, "bucket": None},
        {**RESOURCE, "generation": "latest"},
        {**RESOURCE, "generation": "9" * 5000},
        {**RESOURCE, "generation": None},
        {**RESOURCE, "size": [1]},
        {**RESOURCE, "metadata": "text"},
        {**RESOURCE, "metadata": ["x"]},
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_malformed_finalize_event_is_400(body: Any) -> None:
    function = Function()
    answer = function.finalized(body)
    assert answer.status_code == 400
    assert answer.mimetype == "application/problem+json"
    assert function.seen == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": None},
        {"message": "x"},
        {"message": {}},
        {"message": {"data": 7, "attributes": {"id": "a", "type": "b"}}},
        {"message": {"data": "***", "attributes": {"id": "a", "type": "b"}}},
        pushed(b"x"),
        pushed(b"x", "attributes"),
        pushed(b"x", {"id": "a"}),
        pushed(b"x", {"type": "a"}),
        pushed(b"x", {"id": "", "type": "a"}),
        pushed(b"x", {"id": 7, "type": "a"}),
        pushed(b"[" * 90_000, {"id": "a"}),
    ],
    ids=lambda body: str(body)[:60],
)
@pytest.mark.parametrize("finalized", [True, False])
def test_a_malformed_message_is_400(body: Any, finalized: bool) -> None:
    function = Function(finalized=finalized)
    assert function.call(body).status_code == 400
    assert function.seen == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Unavailable(), 503),
        (NotFound(), 404),
        (Invalid(), 422),
        (RuntimeError("the password is hunter2"), 500),
        (MemoryError(), 500),
    ],
)
def test_what_the_handler_raises_decides_the_answer(error: Exception, status: int) -> None:
    function = Function()
    function.error = error
    answer = function.finalized(RESOURCE)
    assert answer.status_code == status
    assert b"hunter2" not in answer.get_data()
    assert function.call(path="/sweep").status_code == status


def test_a_body_over_the_cap_is_refused_and_not_read_on() -> None:
    function = Function()
    body = json.dumps({**RESOURCE, "metadata": {"x": "y" * 300_000}}).encode()
    assert function.finalized(body).status_code == 413

    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            buffer[:] = b" " * len(buffer)
            self.taken += len(buffer)
            return len(buffer)

    endless = Endless()
    environ = EnvironBuilder(
        "/", method="POST", headers={"Authorization": "Bearer good", "ce-type": FINALIZED}
    ).get_environ()
    environ |= {"wsgi.input": io.BufferedReader(endless), "wsgi.input_terminated": True}
    environ.pop("CONTENT_LENGTH", None)
    assert function.receiver(Request(environ)).status_code == 413
    assert endless.taken < 1_000_000
    assert function.seen == []


@pytest.mark.parametrize("told", [True, False], ids=["told length", "in pieces"])
def test_the_largest_body_is_taken_to_the_byte(told: bool) -> None:
    function = Function()
    empty = len(json.dumps({**RESOURCE, "pad": ""}))
    largest = json.dumps({**RESOURCE, "pad": "y" * (256 * 1024 - empty)}).encode()
    for body, status in ((largest, 204), (largest + b" ", 413)):
        environ = EnvironBuilder(
            "/",
            method="POST",
            headers={"Authorization": "Bearer good", "ce-type": FINALIZED},
            data=body,
        ).get_environ()
        if not told:
            del environ["CONTENT_LENGTH"]
            environ["wsgi.input_terminated"] = True
        assert function.receiver(Request(environ)).status_code == status
    assert function.seen == [SEEN]


def test_jobs_run_by_their_path_and_events_only_at_the_root() -> None:
    function = Function()
    assert function.call(path="/sweep").status_code == 204
    assert function.seen == ["swept"]
    for path in ("/sweep/", "/Sweep", "/other"):
        assert function.call(RESOURCE, path, headers={"ce-type": FINALIZED}).status_code == 404
    assert function.seen == ["swept"]


def test_a_function_without_that_handler_says_not_found() -> None:
    receiver = Receiver("maintenance", None, jobs={"/sweep": lambda: None})
    environ = EnvironBuilder("/", method="POST", data=b"{}").get_environ()
    assert receiver(Request(environ)).status_code == 404


def test_health_is_open_and_other_methods_are_not() -> None:
    function = Function()
    answer = function.call(path="/health", method="GET", headers={"Authorization": None})
    assert json.loads(answer.get_data()) == {"status": "ok", "service": "thumbnails"}
    for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH"):
        refused = function.call(method=method)
        assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")
    assert function.seen == []


def test_without_a_sender_iam_has_checked_already() -> None:
    function = Function(gate=False)
    assert function.finalized(RESOURCE, Authorization=None).status_code == 204


SOURCE = """
import functions_framework
from shared.errors import Unauthenticated
from shared.events.http import Receiver

class Gate:
    def check(self, token):
        if token != "good":
            raise Unauthenticated

receiver = Receiver("thumbnails", Gate(), on_finalized=lambda event: None)

@functions_framework.http
def thumbnails(request):
    return receiver(request)
"""


def test_behind_the_framework_a_refused_body_is_not_taken_into_memory(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(SOURCE)
    app = functions_framework.create_app("thumbnails", str(tmp_path / "main.py"))

    for token, status in (("bad", 401), ("good", 413)):
        body = io.BytesIO(b"x" * 5_000_000)
        headers = {"Authorization": f"Bearer {token}", "ce-type": FINALIZED}
        environ = EnvironBuilder("/", method="POST", headers=headers).get_environ()
        environ |= {"wsgi.input": body, "CONTENT_LENGTH": "5000000"}
        _, answered, _ = run_wsgi_app(app, environ)
        assert answered.startswith(str(status))
        assert body.tell() < 1_000_000
