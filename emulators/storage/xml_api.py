"""The XML API, as far as signed URLs and form uploads need it: objects at /BUCKET/NAME.

Every request carries a signature or a bearer token; buckets are private. A refusal is an XML body
and carries the bucket's CORS headers, so that a page can read why.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any
from xml.sax.saxutils import escape

from emulators.storage import content, cors, serving, signatures
from emulators.storage.errors import (
    AccessDenied,
    BadDigest,
    Invalid,
    LengthRequired,
    MethodNotAllowed,
    NoSuchBucket,
    NoSuchUpload,
    NotImplementedHere,
    TooLarge,
)
from emulators.storage.model import Preconditions, Resource, Version, number
from emulators.storage.resumable import Outcome, Sessions, check_limits
from emulators.storage.signatures import Keys, Limits, Signed
from emulators.storage.store import Store
from emulators.storage.transport import Answer, Multipart, Request, parameters, read_all

# Request headers that become fields of the object.
_FIELDS = {
    "content-type": "contentType",
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "x-goog-custom-time": "customTime",
}
# x-goog headers that are understood; any other answers 501 and not silence.
_KNOWN = frozenset(
    (
        "x-goog-content-length-range",
        "x-goog-content-sha256",
        "x-goog-custom-time",
        "x-goog-date",
        "x-goog-hash",
        "x-goog-if-generation-match",
        "x-goog-if-metageneration-match",
        "x-goog-resumable",
        "x-goog-api-client",
        "x-goog-user-project",
    )
)
# Subresources of the XML API that are left out ("?uploads" is its multipart upload).
_SUBRESOURCES = frozenset(
    ("acl", "cors", "compose", "lifecycle", "uploads", "uploadId", "partNumber", "tagging")
)
# The fields of a form before its file: a policy of 20 KB is already generous.
_FORM_LIMIT = 64 * 1024


class XmlApi:
    def __init__(self, store: Store, sessions: Sessions, keys: Keys) -> None:
        self._store = store
        self._sessions = sessions
        self._keys = keys

    async def cors_headers(self, request: Request) -> dict[str, str]:
        """The CORS headers of whatever this request will be answered with."""
        origin = request.headers.get("origin")
        if not origin:
            return {}
        session = await self._session(request)
        if session:
            return dict(session["cors"]) if origin == session["origin"] else {}
        rules = await self._rules(request)
        return cors.on_answer(rules, origin, request.method)

    async def preflight(self, request: Request) -> Answer:
        session = await self._session(request)
        if session and request.headers.get("origin") != session["origin"]:
            return Answer(200)
        return Answer(200, b"", cors.preflight(await self._rules(request), request.headers))

    async def handle(self, request: Request) -> Answer:
        bucket, _, name = _split(request)
        if "upload_id" in request.query:
            return await self._resume(request)
        if not name and request.method == "POST":
            return await self._form(request, bucket)
        signed = await self._authorize(request)
        _refuse_left_out(request, name)
        if request.method in ("GET", "HEAD"):
            return await self._read(request, bucket, name)
        if request.method == "PUT":
            return await self._write(request, bucket, name, signed)
        if request.method == "DELETE":
            return await self._delete(request, bucket, name)
        if request.method == "POST":
            return await self._start(request, bucket, name)
        raise MethodNotAllowed("The specified method is not allowed against this resource.")

    # Who may

    async def _authorize(self, request: Request) -> Signed:
        if signatures.is_signed(request) or "GoogleAccessId" in request.query:
            return await signatures.verify_url(request, self._keys, self._store.clock)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return Signed("bearer")
        if scheme.upper().startswith("GOOG"):
            raise NotImplementedHere("Signatures in the Authorization header are not served.")
        raise AccessDenied(
            "Access denied.",
            {"Details": "Anonymous caller does not have access to the object."},
        )

    async def _session(self, request: Request) -> Resource | None:
        """The session of this request, or None; one that has ended is none."""
        upload = request.query.get("upload_id", "")
        try:
            return await self._sessions.session(upload)
        except NoSuchUpload:
            return None

    async def _rules(self, request: Request) -> cors.Rules:
        try:
            bucket = await asyncio.to_thread(self._store.bucket, _split(request)[0])
        except NoSuchBucket:
            return []
        rules: cors.Rules = bucket.get("cors") or []
        return rules

    # Objects

    async def _read(self, request: Request, bucket: str, name: str) -> Answer:
        generation = request.query.get("generation")
        version, file = await asyncio.to_thread(
            self._store.open,
            bucket,
            name,
            number(generation, "generation") if generation else None,
            Preconditions.from_headers(request.headers),
        )
        request.closing.enter_context(file)
        overrides = {
            header: request.query[f"response-{header}"]
            for header in serving.OVERRIDES
            if request.query.get(f"response-{header}")
        }
        return serving.media(request, version, file, overrides)

    async def _write(self, request: Request, bucket: str, name: str, signed: Signed) -> Answer:
        if not request.has_body:
            raise LengthRequired("You must provide the Content-Length HTTP header.")
        low, high = _length_range(request.headers)
        if request.length is not None:
            check_limits(request.length, low, high)
        hashes = _hashes(request.headers)
        when = Preconditions.from_headers(request.headers)
        fields = _fields(request.headers)
        await asyncio.to_thread(self._store.check_write, bucket, name, when)
        sink = self._store.blobs.sink(with_sha256=bool(signed.payload))
        try:
            await content.fill(sink, _bounded(aiter(request.body), high))
            check_limits(sink.digests.size, low, high)
            content.check(sink.digests, crc32c=hashes.get("crc32c"), md5=hashes.get("md5"))
            if signed.payload and signed.payload != sink.digests.sha256:
                raise BadDigest("The provided x-goog-content-sha256 does not match the body.")
            new = await asyncio.to_thread(self._store.create, bucket, name, sink, fields, when)
        finally:
            sink.discard()
        return Answer(200, b"", serving.written(new))

    async def _delete(self, request: Request, bucket: str, name: str) -> Answer:
        generation = request.query.get("generation")
        await asyncio.to_thread(
            self._store.delete,
            bucket,
            name,
            number(generation, "generation") if generation else None,
            Preconditions.from_headers(request.headers),
        )
        return Answer(204)

    # Resumable

    async def _start(self, request: Request, bucket: str, name: str) -> Answer:
        if request.headers.get("x-goog-resumable") != "start":
            raise Invalid("POST to an object needs the header x-goog-resumable: start.")
        if request.length:
            raise Invalid("The request that starts a resumable upload has no body.")
        upload = await self._sessions.start(
            bucket,
            name,
            _fields(request.headers),
            Preconditions.from_headers(request.headers),
            origin=request.headers.get("origin"),
            cors=await self.cors_headers(request),
            hashes=_hashes(request.headers),
            limits=_length_range(request.headers),
        )
        query = f"{request.raw_query}&upload_id={upload}".removeprefix("&")
        location = f"{request.base}{request.raw_path}?{query}"
        return Answer(201, b"", {"location": location, "x-guploader-uploadid": upload})

    async def _resume(self, request: Request) -> Answer:
        upload = request.query["upload_id"]
        bucket, _, name = _split(request)
        session = await self._sessions.session(upload)
        if (session["bucket"], session["name"]) != (bucket, name):
            raise AccessDenied("The upload session belongs to another object.")
        if request.method == "DELETE":
            await self._sessions.cancel(upload)
        if request.method != "PUT":
            raise MethodNotAllowed("A session takes PUT and DELETE.")
        outcome: Outcome = await self._sessions.put(upload, request)
        if outcome.version:
            return Answer(200, b"", serving.written(outcome.version))
        return serving.incomplete(outcome.received)

    # Forms

    async def _form(self, request: Request, bucket: str) -> Answer:
        """POST with a signed policy ("POST Object"); fields behind the file do not count."""
        content_type = request.headers.get("content-type", "")
        if not content_type.lower().startswith("multipart/form-data"):
            raise Invalid("A POST to a bucket must be multipart/form-data.")
        await asyncio.to_thread(self._store.bucket, bucket)
        fields: dict[str, str] = {}
        room = _FORM_LIMIT
        async for part in Multipart(request.body, content_type):
            named = parameters(part.headers.get("content-disposition", ""))
            field = named.get("name", "").lower()
            if field == "file":
                filename = named.get("filename", "")
                return await self._form_file(bucket, fields, filename, part.body)
            if field in fields:
                raise Invalid(f"The form repeats the field {field}.")
            try:
                value = await read_all(part.body, room)
            except TooLarge:
                raise Invalid("The fields before the file are too large.") from None
            room -= len(value)
            fields[field] = value.decode("utf-8", "surrogateescape")
        raise Invalid("POST requires exactly one file upload per request.")

    async def _form_file(
        self, bucket: str, fields: dict[str, str], filename: str, body: AsyncIterator[bytes]
    ) -> Answer:
        limits = await signatures.verify_policy(bucket, fields, self._keys, self._store.clock)
        if "key" not in fields:
            raise Invalid("The form has no field key.")
        _refuse_unknown(fields)
        name = fields["key"].replace("${filename}", filename)
        new = await self._store_form(bucket, name, fields, limits, body)
        return _form_answer(fields, new)

    async def _store_form(
        self,
        bucket: str,
        name: str,
        fields: dict[str, str],
        limits: Limits,
        body: AsyncIterator[bytes],
    ) -> Version:
        when = Preconditions.from_headers(fields)
        hashes = _hashes(fields)
        await asyncio.to_thread(self._store.check_write, bucket, name, when)
        sink = self._store.blobs.sink()
        try:
            await content.fill(sink, _bounded(body, limits.high))
            check_limits(sink.digests.size, limits.low, limits.high)
            content.check(sink.digests, crc32c=hashes.get("crc32c"), md5=hashes.get("md5"))
            return await asyncio.to_thread(
                self._store.create, bucket, name, sink, _fields(fields), when
            )
        finally:
            sink.discard()


def _split(request: Request) -> tuple[str, str, str]:
    """Bucket, "/" and name; the name keeps every slash and escape that it was written with."""
    bucket, *rest = request.segments
    return bucket, "/", "/".join(rest)


def _refuse_left_out(request: Request, name: str) -> None:
    if not name:
        raise NotImplementedHere("Buckets are served by the JSON API only.")
    for found in _SUBRESOURCES & set(request.query):
        raise NotImplementedHere(f"The subresource {found} is not served.")
    _refuse_unknown(request.headers)


def _refuse_unknown(headers: Mapping[str, str]) -> None:
    for header in headers:
        known = header in _KNOWN or header.startswith("x-goog-meta-")
        form = header in ("x-goog-algorithm", "x-goog-credential", "x-goog-signature")
        if header.startswith("x-goog-") and not known and not form:
            raise NotImplementedHere(f"The header {header} is not served.")


def _fields(headers: Mapping[str, str]) -> Resource:
    fields: Resource = {
        field: _text(headers[header]) for header, field in _FIELDS.items() if headers.get(header)
    }
    # Its own framing on the wire is no property of the object.
    if fields.get("contentEncoding") == "aws-chunked":
        raise NotImplementedHere("aws-chunked bodies are not served.")
    prefix = "x-goog-meta-"
    metadata = {
        name.removeprefix(prefix): _text(value)
        for name, value in headers.items()
        if name.startswith(prefix)
    }
    return {**fields, "metadata": metadata} if metadata else fields


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Invalid("A header is not UTF-8.") from None
    return value


def _length_range(headers: Mapping[str, str]) -> tuple[int, int | None]:
    text = headers.get("x-goog-content-length-range")
    if text is None:
        return 0, None
    low, separator, high = text.partition(",")
    if not separator:
        raise Invalid("x-goog-content-length-range must look like 0,1024.")
    return number(low.strip(), "the range"), number(high.strip(), "the range")


def _hashes(headers: Mapping[str, str]) -> dict[str, str]:
    found = content.parse_goog_hash([headers.get("x-goog-hash", "")])
    unknown = set(found) - {"crc32c", "md5"}
    if unknown or (headers.get("x-goog-hash") and not found):
        raise Invalid("x-goog-hash takes crc32c and md5.")
    if headers.get("content-md5"):
        found["md5"] = headers["content-md5"]
    return found


async def _bounded(stream: AsyncIterator[bytes], high: int | None) -> AsyncIterator[bytes]:
    """The stream, ended by an error as soon as it is too long."""
    size = 0
    async for piece in stream:
        size += len(piece)
        check_limits(size, 0, high)
        yield piece


def _form_answer(fields: Mapping[str, str], version: Version) -> Answer:
    headers: dict[str, Any] = serving.written(version)
    redirect = fields.get("success_action_redirect")
    if redirect:
        return Answer(303, b"", {**headers, "location": redirect})
    if fields.get("success_action_status") == "201":
        body = (
            "<?xml version='1.0' encoding='UTF-8'?><PostResponse>"
            f"<Bucket>{escape(version.bucket)}</Bucket><Key>{escape(version.name)}</Key>"
            f"<ETag>{escape(version.xml_etag)}</ETag></PostResponse>"
        )
        return Answer(201, body.encode(), {**headers, "content-type": "application/xml"})
    return Answer(200 if fields.get("success_action_status") == "200" else 204, b"", headers)
