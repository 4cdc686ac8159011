"""The ASGI application: reads one request, lets the right transport answer, applies faults.

A refused request's body is read to its end first; otherwise the browser reports a network error
instead of the refusal. The exception is a caller that waits for `100 Continue`.
"""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from emulators.storage import faults, json_api
from emulators.storage.errors import (
    AccessDenied,
    Invalid,
    MethodNotAllowed,
    NotModified,
    StorageError,
    Unauthorized,
)
from emulators.storage.faults import Fault, Faults
from emulators.storage.json_api import JsonApi
from emulators.storage.notifications import Publisher
from emulators.storage.resumable import Sessions
from emulators.storage.signatures import Keys
from emulators.storage.store import Store
from emulators.storage.transport import (
    Answer,
    Body,
    Disconnected,
    Message,
    Receive,
    Request,
    Send,
    json_answer,
)
from emulators.storage.xml_api import XmlApi

# What RFC 9110 allows in no header's value.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_JSON_ROOTS = ("storage", "upload", "download")
# Ended sessions and soft-deleted objects are looked for this often, in seconds.
_SWEEP_EVERY = 30


class FaultInjected(Exception):
    """A fault's turn has come; carries it up to where the answer is made."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class Application:
    def __init__(
        self,
        store: Store,
        keys: Keys,
        trouble: Faults,
        *,
        allow_anonymous: bool = False,
        admin: bool = False,
        pubsub: str | None = None,
    ) -> None:
        sessions = Sessions(store)
        self._store = store
        self._json = JsonApi(store, sessions)
        self._xml = XmlApi(store, sessions, keys)
        self._faults = trouble
        self._allow_anonymous = allow_anonymous
        self._admin = admin
        self._publisher = Publisher(store, pubsub, trouble) if pubsub else None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request = _request(scope, receive)
        with suppress(Disconnected), request.closing:
            await self._exchange(request, receive, send)

    # One exchange

    async def _exchange(self, request: Request, receive: Receive, send: Send) -> None:
        fault = None
        if request.segments[0] != "_emulator":
            fault = self._faults.for_request(request.method, request.raw_path)
        try:
            if fault and fault.kind != "cut-answer":
                _arm(request, fault)
            answer = await self._answer(request)
        except FaultInjected as injected:
            if injected.fault.kind == "cut":
                await _cut(receive)
                return
            answer = await self._broken(request, injected.fault)
        await self._drain(request)
        if fault and fault.kind == "cut-answer":
            if fault.after_bytes:
                await _send_part(answer, fault.after_bytes, send)
            await _cut(receive)
            return
        await _send(answer, request.method, send)

    async def _answer(self, request: Request) -> Answer:
        """The answer with its CORS headers; refusals are answers too."""
        is_xml = request.segments[0] not in (*_JSON_ROOTS, "batch", "_emulator")
        try:
            if not is_xml:
                return await self._routed(request)
            if request.method == "OPTIONS":
                return await self._xml.preflight(request)
            answer = await self._routed(request)
        except StorageError as error:
            answer = _refusal(error, as_xml=is_xml)
        except (Disconnected, FaultInjected):
            raise
        except Exception:  # noqa: BLE001 - the caller gets a 500, the log the reason.
            traceback.print_exc(file=sys.stderr)
            answer = _refusal(StorageError(), as_xml=is_xml)
        if is_xml:
            answer.headers.update(await self._cors(request))
        return answer

    async def _cors(self, request: Request) -> dict[str, str]:
        try:
            return await self._xml.cors_headers(request)
        except StorageError:
            return {}

    async def _broken(self, request: Request, fault: Fault) -> Answer:
        error = StorageError("A fault was asked for.")
        error.status, error.code, error.reason = fault.status, "ServiceUnavailable", "backendError"
        is_xml = request.segments[0] not in (*_JSON_ROOTS, "batch")
        answer = _refusal(error, as_xml=is_xml)
        if is_xml:
            answer.headers.update(await self._cors(request))
        return answer

    async def _drain(self, request: Request) -> None:
        waits = request.headers.get("expect", "").lower() == "100-continue"
        if not (waits and not request.body.seen):
            await request.body.drain()

    # Where it goes

    async def _routed(self, request: Request) -> Answer:
        request.check_text()
        root = request.segments[0]
        if root == "_emulator":
            return await self._own(request)
        if root == "batch":
            return await json_api.batch(request, self._json_call)
        if root in _JSON_ROOTS:
            self._authorize(request)
            return await self._json.handle(request)
        return await self._xml.handle(request)

    async def _json_call(self, request: Request) -> Answer:
        """One call of a batch, which fails alone."""
        try:
            self._authorize(request)
            return await self._json.handle(request)
        except StorageError as error:
            return _refusal(error, as_xml=False)

    def _authorize(self, request: Request) -> None:
        """A session's id is its own authority; all else needs a token, whose issuer is trusted."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and bool(token.strip())
        session = request.segments[0] == "upload" and "upload_id" in request.query
        if not (known or self._allow_anonymous or session):
            raise Unauthorized(
                "Anonymous caller does not have access to the Google Cloud Storage resource.",
                headers={"www-authenticate": 'Bearer realm="https://accounts.google.com/"'},
            )

    async def _own(self, request: Request) -> Answer:
        """/_emulator: health for everyone, the rest only when started with --admin."""
        call = (request.method, request.raw_path)
        if call == ("GET", "/_emulator/health"):
            return json_answer({"status": "ok", "service": "storage"})
        if not self._admin:
            raise AccessDenied("Start the emulator with --admin for this.")
        if call == ("GET", "/_emulator/faults"):
            return json_answer({"faults": self._faults.listed()})
        if call == ("GET", "/_emulator/outbox"):
            topics = await asyncio.to_thread(self._store.waiting_topics)
            return json_answer({"waitingTopics": topics})
        # A page of another origin could send anything but this type without being asked first.
        if request.headers.get("content-type") != "application/json":
            raise Invalid("Changes need content-type application/json.")
        if call == ("POST", "/_emulator/faults"):
            self._faults.add(faults.parse(await request.json()))
            return json_answer({"faults": self._faults.listed()}, 201)
        if call == ("DELETE", "/_emulator/faults"):
            self._faults.clear()
            return Answer(204)
        raise MethodNotAllowed("There is no such switch.")

    # Beside the requests

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._tasks = [asyncio.create_task(self._sweep())]
        if self._publisher:
            self._tasks.append(asyncio.create_task(self._publisher.run()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._store.close)
        await send({"type": "lifespan.shutdown.complete"})

    async def _sweep(self) -> None:
        while True:
            await asyncio.to_thread(self._store.sweep)
            await asyncio.sleep(_SWEEP_EVERY)


def _request(scope: Message, receive: Receive) -> Request:
    headers = [
        (name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape"))
        for name, value in scope["headers"]
    ]
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        headers,
        Body(receive),
        scope["scheme"],
    )


def _arm(request: Request, fault: Fault) -> None:
    """Let the fault strike once enough of the body was read; at once when it asks for none."""
    if fault.kind == "alter":
        request.body.altered_at = fault.after_bytes
        return
    if not fault.after_bytes:
        raise FaultInjected(fault)

    def strike(seen: int) -> None:
        if seen >= fault.after_bytes:
            raise FaultInjected(fault)

    request.body.watch = strike


async def _cut(receive: Receive) -> None:
    """Drop the connection; returns when the server knows, or it would answer 500 itself.

    ASGI has no word for it, so this reaches for the transport behind uvicorn's own `receive`.
    """
    cycle: Any = receive.__self__  # type: ignore[attr-defined]
    cycle.transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def _refusal(error: StorageError, *, as_xml: bool) -> Answer:
    if isinstance(error, NotModified):
        return Answer(304, b"", dict(error.headers))
    if as_xml:
        kind = "application/xml; charset=UTF-8"
        fixed = {"content-type": kind, "cache-control": "private, max-age=0"}
        return Answer(error.status, error.as_xml(), {**fixed, **error.headers})
    return json_answer(error.as_json(), error.status, error.headers)


async def _send(answer: Answer, method: str, send: Send) -> None:
    await send(_start(answer))
    if isinstance(answer.body, bytes):
        body = b"" if method == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})
        return
    async for piece in answer.body:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _send_part(answer: Answer, limit: int, send: Send) -> None:
    await send(_start(answer))
    async for piece in _as_stream(answer.body):
        await send({"type": "http.response.body", "body": piece[:limit], "more_body": True})
        limit -= len(piece[:limit])
        if limit <= 0:
            return


async def _as_stream(body: bytes | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, bytes):
        yield body
        return
    async for piece in body:
        yield piece


def _start(answer: Answer) -> Message:
    headers: dict[str, str] = dict(answer.headers)
    if isinstance(answer.body, bytes) and answer.status not in (204, 304):
        headers.setdefault("content-length", str(len(answer.body)))
    return {"type": "http.response.start", "status": answer.status, "headers": _raw(headers)}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Header bytes; a line break in a stored value would otherwise become a header of its own."""
    return [
        (name.encode(), _CONTROL.sub(" ", value).strip().encode("utf-8", "surrogateescape"))
        for name, value in headers.items()
    ]
