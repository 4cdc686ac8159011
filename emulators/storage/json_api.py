"""The JSON API: routes of paths and methods onto the store.

Object names stand whole and percent-encoded in one path segment. A path, parameter or header that
means something here but is not served answers 501, so that nobody relies on silence.
"""

from __future__ import annotations

import asyncio
import email
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, BinaryIO

from emulators.storage import content, serving
from emulators.storage.errors import (
    Invalid,
    MethodNotAllowed,
    NoSuchKey,
    NotImplementedHere,
    Required,
)
from emulators.storage.listing import Listing
from emulators.storage.model import Preconditions, Resource, Version, number
from emulators.storage.resumable import Sessions
from emulators.storage.store import Store
from emulators.storage.transport import (
    JSON_LIMIT,
    Answer,
    Multipart,
    Part,
    Request,
    json_answer,
    memory_body,
    parse_json,
    part_headers,
    read_all,
)

# Parameters that would change what happens and that nothing here honours.
_LEFT_OUT = (
    "predefinedAcl",
    "predefinedDefaultObjectAcl",
    "destinationPredefinedAcl",
    "destinationKmsKeyName",
    "kmsKeyName",
    "matchGlob",
    "includeFoldersAsPrefixes",
    "copySourceAcl",
    "filter",
)
_MAX_COMPOSE = 32
_Handler = Callable[["JsonApi", Request, Resource, tuple[str, ...]], Answer]


def refuse_left_out(request: Request) -> None:
    for name in _LEFT_OUT:
        if name in request.query:
            raise NotImplementedHere(f"The parameter {name} is not served.")
    for name in request.headers:
        if name.startswith(("x-goog-encryption-", "x-goog-copy-source-encryption-")):
            raise NotImplementedHere("Customer-supplied encryption keys are not served.")


class JsonApi:
    def __init__(self, store: Store, sessions: Sessions) -> None:
        self.store = store
        self._sessions = sessions

    async def handle(self, request: Request) -> Answer:
        """Everything under /storage/v1, /upload/storage/v1 and /download/storage/v1."""
        refuse_left_out(request)
        segments = request.segments
        if segments[0] == "upload":
            return await self._upload(request, _bucket_of_upload(segments))
        if segments[0] == "download":
            segments = segments[1:]
        if segments[:2] != ["storage", "v1"]:
            raise NotImplementedHere("Only version v1 of the JSON API is served.")
        path = tuple(segments[2:])
        if _is_object(path) and request.method in ("GET", "HEAD"):
            media = request.segments[0] == "download" or request.query.get("alt") == "media"
            if media:
                return await self._download(request, path[1], path[3])
        if len(path) == 5 and path[2:5:2] == ("o", "compose") and request.method == "POST":
            return await self._compose(request, path[1], path[3])
        handler, values = _route(request.method, path)
        body = await request.json()
        return await asyncio.to_thread(handler, self, request, body, values)

    # Bytes

    async def _download(self, request: Request, bucket: str, name: str) -> Answer:
        query = request.query
        generation = _optional(query, "generation")
        when = Preconditions.from_query(query)
        version, file = await asyncio.to_thread(self.store.open, bucket, name, generation, when)
        request.closing.enter_context(file)
        return serving.media(request, version, file)

    async def _upload(self, request: Request, bucket: str) -> Answer:
        if "upload_id" in request.query:
            return await self._resume(request)
        if request.method != "POST":
            raise MethodNotAllowed("Uploads start with POST.")
        kind = request.query.get("uploadType")
        if kind == "resumable":
            return await self._start(request, bucket)
        if kind not in ("media", "multipart"):
            raise Invalid("uploadType must be media, multipart or resumable.")
        send = self._simple if kind == "media" else self._multipart
        return await send(request, bucket)

    async def _simple(self, request: Request, bucket: str) -> Answer:
        name = _required(request, "name")
        fields = {"contentType": request.headers.get("content-type")}
        return await self._receive(request, bucket, name, fields, aiter(request.body))

    async def _multipart(self, request: Request, bucket: str) -> Answer:
        parts = aiter(Multipart(request.body, request.headers.get("content-type", "")))
        first = await _next_part(parts)
        fields = parse_json(await read_all(first.body, JSON_LIMIT))
        second = await _next_part(parts)
        name = str(fields.get("name") or _required(request, "name"))
        fields.setdefault("contentType", second.headers.get("content-type"))
        return await self._receive(request, bucket, name, fields, second.body)

    async def _receive(
        self, request: Request, bucket: str, name: str, fields: Resource, stream: Any
    ) -> Answer:
        when = Preconditions.from_query(request.query)
        await asyncio.to_thread(self.store.check_write, bucket, name, when)
        hashes = _hashes(request, fields)
        sink = self.store.blobs.sink()
        try:
            await content.fill(sink, stream)
            content.check(sink.digests, crc32c=hashes.get("crc32c"), md5=hashes.get("md5"))
            new = await asyncio.to_thread(self.store.create, bucket, name, sink, fields, when)
        finally:
            sink.discard()
        return _object(request, new)

    async def _start(self, request: Request, bucket: str) -> Answer:
        fields = await request.json()
        name = str(fields.get("name") or _required(request, "name"))
        fields.setdefault("contentType", request.headers.get("x-upload-content-type"))
        upload = await self._sessions.start(
            bucket,
            name,
            fields,
            Preconditions.from_query(request.query),
            origin=None,
            cors={},
            hashes=_hashes(request, fields),
        )
        query = f"uploadType=resumable&upload_id={upload}"
        location = f"{request.base}/upload/storage/v1/b/{bucket}/o?{query}"
        return Answer(200, b"", {"location": location, "x-guploader-uploadid": upload})

    async def _resume(self, request: Request) -> Answer:
        upload = request.query["upload_id"]
        if request.method == "DELETE":
            await self._sessions.cancel(upload)
        if request.method not in ("PUT", "POST"):
            raise MethodNotAllowed("A session takes PUT and DELETE.")
        outcome = await self._sessions.put(upload, request)
        if outcome.version:
            return _object(request, outcome.version)
        return serving.incomplete(outcome.received)

    async def _compose(self, request: Request, bucket: str, name: str) -> Answer:
        body = await request.json()
        sources = body.get("sourceObjects")
        if not isinstance(sources, list) or not 1 <= len(sources) <= _MAX_COMPOSE:
            raise Invalid(f"sourceObjects must name 1 to {_MAX_COMPOSE} objects.")
        parts = [await asyncio.to_thread(self._source, bucket, source) for source in sources]
        for _, file in parts:
            request.closing.enter_context(file)
        destination = _object_in(body, "destination")
        when = Preconditions.from_query(request.query)
        sink = self.store.blobs.sink()
        try:
            for version, file in parts:
                await content.fill(sink, content.read(file, 0, version.size))
            count = sum(int(version.fields.get("componentCount", 1)) for version, _ in parts)
            new = await asyncio.to_thread(
                self.store.compose, bucket, name, sink, count, destination, when
            )
        finally:
            sink.discard()
        return _object(request, new)

    def _source(self, bucket: str, source: Any) -> tuple[Version, BinaryIO]:
        if not isinstance(source, dict) or not isinstance(source.get("name"), str):
            raise Required("Each of sourceObjects needs a name.")
        conditions = {
            key: str(value) for key, value in _object_in(source, "objectPreconditions").items()
        }
        generation = source.get("generation")
        asked = number(str(generation), "generation") if generation else None
        when = Preconditions.from_query(conditions)
        return self.store.open(bucket, source["name"], asked, when)

    # Buckets

    def list_buckets(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        query = request.query
        items, token = self.store.buckets(
            _required(request, "project"),
            query.get("prefix", ""),
            query.get("pageToken"),
            _limit(query),
        )
        found = {"kind": "storage#buckets", "items": [_bucket(request, item) for item in items]}
        return json_answer({**found, "nextPageToken": token} if token else found)

    def create_bucket(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        if not isinstance(body.get("name"), str):
            raise Required("Required: name")
        new = self.store.create_bucket(body["name"], _required(request, "project"), body)
        return json_answer(_bucket(request, new))

    def get_bucket(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        if "generation" in request.query or "softDeleted" in request.query:
            raise NotImplementedHere("Soft deletion of buckets is not served.")
        found = self.store.bucket(path[0])
        _check_bucket(request, found)
        return json_answer(_bucket(request, found))

    def patch_bucket(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        when = Preconditions.from_query(request.query)
        new = self.store.change_bucket(path[0], body, when, keep=request.method == "PATCH")
        return json_answer(_bucket(request, new))

    def delete_bucket(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        self.store.delete_bucket(path[0], Preconditions.from_query(request.query))
        return Answer(204)

    # Notifications

    def list_notifications(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        self.store.bucket(path[0])
        items = self.store.notification_configs(path[0])
        return json_answer({"kind": "storage#notifications", "items": items})

    def create_notification(
        self, request: Request, body: Resource, path: tuple[str, ...]
    ) -> Answer:
        return json_answer(self.store.add_notification(path[0], body))

    def get_notification(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        for found in self.store.notification_configs(path[0]):
            if found["id"] == path[1]:
                return json_answer(found)
        raise NoSuchKey(f"Notification {path[1]} not found")

    def delete_notification(
        self, request: Request, body: Resource, path: tuple[str, ...]
    ) -> Answer:
        if not self.store.delete_notification(path[0], number(path[1], "notification")):
            raise NoSuchKey(f"Notification {path[1]} not found")
        return Answer(204)

    # Objects

    def list_objects(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        query = request.query
        states = ("live", "noncurrent") if _is_true(query, "versions") else ("live",)
        if _is_true(query, "softDeleted"):
            states = ("deleted",)
        ask = Listing(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            states=states,
            start=query.get("startOffset", ""),
            end=query.get("endOffset") or None,
            trailing_delimiter=_is_true(query, "includeTrailingDelimiter"),
            token=query.get("pageToken"),
            limit=_limit(query),
        )
        page = self.store.page(path[0], ask)
        found: Resource = {
            "kind": "storage#objects",
            "items": [version.resource(request.base) for version in page.items],
        }
        if page.prefixes:
            found["prefixes"] = page.prefixes
        return json_answer({**found, "nextPageToken": page.token} if page.token else found)

    def get_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        soft = _is_true(request.query, "softDeleted")
        generation = _optional(request.query, "generation")
        if soft and generation is None:
            raise Required("A soft-deleted object is named by its generation.")
        when = Preconditions.from_query(request.query)
        found = self.store.get(path[0], path[1], generation, when, soft_deleted=soft)
        return _object(request, found)

    def patch_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        generation = _optional(request.query, "generation")
        when = Preconditions.from_query(request.query)
        keep = request.method == "PATCH"
        new = self.store.patch(path[0], path[1], generation, body, when, keep=keep)
        return _object(request, new)

    def delete_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        generation = _optional(request.query, "generation")
        self.store.delete(path[0], path[1], generation, Preconditions.from_query(request.query))
        return Answer(204)

    def restore_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        generation = number(_required(request, "generation"), "generation")
        when = Preconditions.from_query(request.query)
        return _object(request, self.store.restore(path[0], path[1], generation, when))

    def move_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        when = Preconditions.from_query(request.query)
        source_when = Preconditions.from_query(request.query, "ifSource")
        new = self.store.move(path[0], path[1], path[2], when, source_when)
        return _object(request, new)

    def copy_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        return _object(request, self._copied(request, body, path))

    def rewrite_object(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        new = self._copied(request, body, path)
        return json_answer(
            {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": str(new.size),
                "objectSize": str(new.size),
                "done": True,
                "resource": new.resource(request.base),
            }
        )

    def _copied(self, request: Request, body: Resource, path: tuple[str, ...]) -> Version:
        query = request.query
        return self.store.copy(
            (path[0], path[1], _optional(query, "sourceGeneration")),
            (path[2], path[3]),
            body,
            Preconditions.from_query(query),
            Preconditions.from_query(query, "ifSource"),
        )

    def service_account(self, request: Request, body: Resource, path: tuple[str, ...]) -> Answer:
        email = f"service-1@gs-project-accounts.{path[0]}.iam.gserviceaccount.com"
        return json_answer({"kind": "storage#serviceAccount", "email_address": email})


# `*` takes any one segment; the first match counts.
_ROUTES: tuple[tuple[str, str, _Handler], ...] = (
    ("GET", "b", JsonApi.list_buckets),
    ("POST", "b", JsonApi.create_bucket),
    ("GET", "b/*", JsonApi.get_bucket),
    ("PATCH PUT", "b/*", JsonApi.patch_bucket),
    ("DELETE", "b/*", JsonApi.delete_bucket),
    ("GET", "b/*/notificationConfigs", JsonApi.list_notifications),
    ("POST", "b/*/notificationConfigs", JsonApi.create_notification),
    ("GET", "b/*/notificationConfigs/*", JsonApi.get_notification),
    ("DELETE", "b/*/notificationConfigs/*", JsonApi.delete_notification),
    ("GET", "b/*/o", JsonApi.list_objects),
    ("GET", "b/*/o/*", JsonApi.get_object),
    ("PATCH PUT", "b/*/o/*", JsonApi.patch_object),
    ("DELETE", "b/*/o/*", JsonApi.delete_object),
    ("POST", "b/*/o/*/restore", JsonApi.restore_object),
    ("POST", "b/*/o/*/moveTo/o/*", JsonApi.move_object),
    ("POST", "b/*/o/*/copyTo/b/*/o/*", JsonApi.copy_object),
    ("POST", "b/*/o/*/rewriteTo/b/*/o/*", JsonApi.rewrite_object),
    ("GET", "projects/*/serviceAccount", JsonApi.service_account),
)


def _route(method: str, path: tuple[str, ...]) -> tuple[_Handler, tuple[str, ...]]:
    known = False
    for methods, pattern, handler in _ROUTES:
        parts = pattern.split("/")
        if len(parts) != len(path):
            continue
        if all(part in ("*", given) for part, given in zip(parts, path, strict=True)):
            known = True
            if method in methods.split():
                values = zip(parts, path, strict=True)
                return handler, tuple(given for part, given in values if part == "*")
    if known:
        raise MethodNotAllowed(f"{method} is not a method of this path.")
    raise NotImplementedHere(f"/storage/v1/{'/'.join(path)} is not served by this emulator.")


def _is_object(path: tuple[str, ...]) -> bool:
    return len(path) == 4 and path[0] == "b" and path[2] == "o"


async def _next_part(parts: AsyncIterator[Part]) -> Part:
    async for part in parts:
        return part
    raise Invalid("A multipart upload has two parts: the object's resource and its bytes.")


def _object_in(body: Resource, key: str) -> Resource:
    found = body.get(key) or {}
    if not isinstance(found, dict):
        raise Invalid(f"{key} must be an object.")
    return found


def _bucket_of_upload(segments: list[str]) -> str:
    if len(segments) != 6 or segments[1:4] + segments[5:] != ["storage", "v1", "b", "o"]:
        raise NotImplementedHere("Only /upload/storage/v1/b/BUCKET/o takes uploads.")
    return segments[4]


def _object(request: Request, version: Version) -> Answer:
    return json_answer(version.resource(request.base), headers={"etag": version.etag})


def _bucket(request: Request, resource: Resource) -> Resource:
    link = f"{request.base}/storage/v1/b/{resource['name']}"
    return {**resource, "selfLink": link, "etag": f"CAE{resource['metageneration']}"}


def _check_bucket(request: Request, resource: Resource) -> None:
    when = Preconditions.from_query(request.query)
    current = Version("", "", 0, int(resource["metageneration"]), "live", 0, "", "", "")
    when.check(current, reading=True)


def _required(request: Request, name: str) -> str:
    value = request.query.get(name)
    if not value:
        raise Required(f"Required parameter: {name}")
    return value


def _optional(query: dict[str, str], name: str) -> int | None:
    return number(query[name], name) if query.get(name) else None


def _limit(query: dict[str, str]) -> int:
    asked = number(query.get("maxResults", "1000"), "maxResults")
    return max(1, min(asked, 1000))


def _hashes(request: Request, fields: Resource) -> dict[str, str]:
    """Announced checksums: in the resource, in x-goog-hash, or in Content-MD5."""
    found = content.parse_goog_hash([request.headers.get("x-goog-hash", "")])
    if "content-md5" in request.headers:
        found["md5"] = request.headers["content-md5"]
    named = {"crc32c": fields.get("crc32c"), "md5": fields.get("md5Hash")}
    return {**found, **{key: str(value) for key, value in named.items() if value}}


# Batches

_MAX_BATCH = 100
# The documented limit of a batch's payload.
_BATCH_LIMIT = 10 * 1024 * 1024


@dataclass(frozen=True)
class _Call:
    content_id: str
    request: Request


async def batch(request: Request, answer_one: Callable[[Request], Any]) -> Answer:
    """POST /batch/storage/v1: each part is one call, answered in its place."""
    calls = await _calls(request)
    if not 1 <= len(calls) <= _MAX_BATCH:
        raise Invalid(f"A batch holds 1 to {_MAX_BATCH} calls.")
    mark = "batch_of_answers"
    parts = [await _batched(call, answer_one, mark) for call in calls]
    body = b"".join(parts) + f"--{mark}--\r\n".encode()
    return Answer(200, body, {"content-type": f"multipart/mixed; boundary={mark}"})


async def _calls(request: Request) -> list[_Call]:
    """The official client ends lines with a bare line feed, so the mail parser reads them."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + await read_all(request.body, _BATCH_LIMIT))
    if not whole.is_multipart():
        raise Invalid("A batch must be multipart/mixed.")
    parts: Any = whole.get_payload()
    return [_call(request, part) for part in parts]


def _call(outer: Request, part: Message[str, str]) -> _Call:
    payload: Any = part.get_payload(decode=True) or b""
    text = payload.replace(b"\r\n", b"\n").lstrip(b"\n")
    head, _, body = text.partition(b"\n\n")
    line, _, lines = head.partition(b"\n")
    found = re.fullmatch(rb"([A-Z]+) (\S+)(?: HTTP/1\.1)?", line.strip())
    if not found:
        raise Invalid("A part of the batch is not an HTTP request.")
    method, target = found[1].decode(), found[2].decode("latin-1")
    target = "/" + target.split("/", 3)[3] if "://" in target else target
    path, _, query = target.partition("?")
    headers = {**part_headers(lines.replace(b"\n", b"\r\n")), "content-length": str(len(body))}
    # A call without credentials of its own has those of the batch.
    for name in ("host", "authorization"):
        headers.setdefault(name, outer.headers.get(name, ""))
    inner = Request(method, path, query, list(headers.items()), memory_body(body), outer.scheme)
    return _Call(part.get("content-id", ""), inner)


async def _batched(call: _Call, answer_one: Callable[[Request], Any], mark: str) -> bytes:
    media = call.request.query.get("alt") == "media"
    if media or not call.request.raw_path.startswith("/storage/v1/"):
        answer = json_answer({"error": {"code": 400, "message": "Not a batchable call"}}, 400)
    else:
        answer = await answer_one(call.request)
    body = answer.body if isinstance(answer.body, bytes) else b""
    content_id = call.content_id.replace("<", "<response-", 1)
    headers = {**answer.headers, "content-length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"--{mark}\r\nContent-Type: application/http\r\nContent-ID: {content_id}\r\n\r\n"
        f"HTTP/1.1 {answer.status} Status\r\n{lines}\r\n"
    )
    return head.encode("utf-8", "surrogateescape") + body + b"\r\n"


def _is_true(query: Mapping[str, str], name: str) -> bool:
    """The official client writes Python's True, others true; the service takes both."""
    return query.get(name, "").lower() == "true"
