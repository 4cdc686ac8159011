"""One HTTP request as the transports see it, and the few shapes of an answer.

Paths stay raw (percent-encoded as sent): a signature covers those very bytes, and `%2F` inside a
JSON path is part of an object's name.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from emulators.storage.content import Blobs, read
from emulators.storage.errors import Incomplete, Invalid, RangeNotSatisfiable, TooLarge
from emulators.storage.model import Version

# A refused body is read up to here so that a browser can read the answer; a longer one is a
# sender that will not stop, and the connection ends.
_DRAIN_LIMIT = 64 * 1024 * 1024
# JSON bodies hold metadata; the real service takes 8 KiB of it per object.
JSON_LIMIT = 1024 * 1024


class Call:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._ended = False
        self.method = request.method
        self.raw_path = request.scope["raw_path"].decode("latin-1").partition("?")[0]
        self.raw_query = request.scope["query_string"].decode("latin-1")
        self.pairs = _pairs(self.raw_query)
        self.query = dict(reversed(self.pairs))
        """The first value of each parameter."""
        self.headers = _headers(request)
        """Lower-case names; repeated headers joined with commas, as a signature sees them."""
        host = self.headers.get("host", "127.0.0.1")
        self.base = f"{request.scope.get('scheme', 'http')}://{host}"

    @property
    def request(self) -> Request:
        return self._request

    @property
    def length(self) -> int | None:
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    async def stream(self) -> AsyncIterator[bytes]:
        """The body's chunks, at most once; raises ClientDisconnect when it is cut short."""
        if self._ended:
            return
        async for chunk in self._request.stream():
            if chunk:
                yield chunk
        self._ended = True

    async def body(self, limit: int = JSON_LIMIT) -> bytes:
        gathered = bytearray()
        async for chunk in self.stream():
            gathered += chunk
            if len(gathered) > limit:
                raise TooLarge("The request body is too large.")
        return bytes(gathered)

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object; an empty body is an empty object."""
        text = await self.body()
        return parse_json(text) if text.strip() else {}

    async def drain(self) -> bool:
        """Read what the handler left; False when there is too much or the caller went away."""
        size = 0
        try:
            while not self._ended and size <= _DRAIN_LIMIT:
                message = await self._request.receive()
                if message["type"] == "http.disconnect":
                    return False
                size += len(message.get("body", b""))
                self._ended = not message.get("more_body", False)
        except ClientDisconnect:
            return False
        return self._ended


def parse_json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("Parse Error") from None
    if not isinstance(found, dict):
        raise Invalid("A JSON object is expected.")
    return found


def segments(raw_path: str) -> list[str]:
    """The decoded segments of a raw path: `/b/a%2Fb` is ["b", "a/b"]."""
    return [decode(part) for part in raw_path.split("/")[1:]]


def decode(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise Invalid("The path is not UTF-8.") from None


def _pairs(raw_query: str) -> list[tuple[str, str]]:
    # A plus sign stays one: signed URLs encode a space as %20.
    found = (part.partition("=") for part in raw_query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in found]


def _headers(request: Request) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in request.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def json_answer(resource: Mapping[str, Any], status: int = 200) -> Response:
    body = json.dumps(resource).encode()
    return Response(body, status, media_type="application/json; charset=UTF-8")


def object_headers(version: Version) -> dict[str, str]:
    """What both transports say about an object beside its bytes."""
    fields = version.fields
    hashes = f"crc32c={version.crc32c}" + (f",md5={version.md5}" if version.md5 else "")
    headers = {
        "x-goog-generation": str(version.generation),
        "x-goog-metageneration": str(version.metageneration),
        "x-goog-hash": hashes,
        "x-goog-storage-class": str(fields.get("storageClass", "STANDARD")),
        "x-goog-stored-content-length": str(version.size),
        "x-goog-stored-content-encoding": str(fields.get("contentEncoding", "identity")),
    }
    named = {
        "cache-control": "cacheControl",
        "content-disposition": "contentDisposition",
        "content-encoding": "contentEncoding",
        "content-language": "contentLanguage",
    }
    headers |= {header: fields[key] for header, key in named.items() if fields.get(key)}
    for key, value in (fields.get("metadata") or {}).items():
        headers[f"x-goog-meta-{key}"] = value
    # Headers are latin-1 on the wire; a value beyond that travels as its UTF-8 bytes.
    return {name: value.encode().decode("latin-1") for name, value in headers.items()}


def bytes_answer(
    blobs: Blobs, version: Version, call: Call, headers: Mapping[str, str]
) -> Response:
    """200 with all, 206 with the asked range, or 416; HEAD without bytes."""
    span = _span(call.headers.get("range"), version.size)
    start, length = span or (0, version.size)
    head = {
        "content-type": version.content_type,
        **headers,
        "accept-ranges": "bytes",
        "content-length": str(length),
    }
    if span:
        head["content-range"] = f"bytes {start}-{start + length - 1}/{version.size}"
    status = 206 if span else 200
    if call.method == "HEAD" or not length:
        return Response(b"", status, headers=head)
    stream = read(blobs.path(version.blob), start, length)
    return StreamingResponse(stream, status, headers=head)


def _span(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, length) of a single byte range; None for no, several or unreadable ranges,
    which RFC 9110 lets a server ignore."""
    unit, _, spec = (header or "").partition("=")
    first, dash, last = spec.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in spec:
        return None
    if not all(part.isascii() and (part.isdigit() or not part) for part in (first, last)):
        return None
    if not first:
        wanted = min(int(last), size) if last else 0
        if not wanted:
            raise _unsatisfiable(size)
        return size - wanted, wanted
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if start >= size:
        raise _unsatisfiable(size)
    return None if end < start else (start, end - start + 1)


def _unsatisfiable(size: int) -> RangeNotSatisfiable:
    return RangeNotSatisfiable(
        "The requested range cannot be satisfied.", headers={"content-range": f"bytes */{size}"}
    )


class Parts:
    """A multipart body read as it arrives; only a part's headers are held in memory."""

    def __init__(self, stream: AsyncIterator[bytes], content_type: str) -> None:
        self._stream = stream
        # The first delimiter has no line break before it; this one makes all alike.
        self._buffer = bytearray(b"\r\n")
        self._delimiter = b"\r\n--" + _boundary(content_type)
        self._begun = False

    async def next(self) -> dict[str, str] | None:
        """The headers of the next part, or None behind the last. Read each part to its end."""
        if not self._begun:
            self._begun = True
            async for _ in self._until(self._delimiter):
                pass
        while len(self._buffer) < 2 and await self._more():
            pass
        if self._buffer[:2] == b"--":
            return None
        head = b"\r\n" + await self._gather(b"\r\n\r\n", 16 * 1024)
        lines = head.decode("utf-8", "replace").strip().split("\r\n")
        found = (line.partition(":") for line in lines if line)
        return {name.strip().lower(): value.strip() for name, _, value in found}

    def content(self) -> AsyncIterator[bytes]:
        return self._until(self._delimiter)

    async def text(self, limit: int = JSON_LIMIT) -> bytes:
        return await self._gather(self._delimiter, limit)

    async def _gather(self, mark: bytes, limit: int) -> bytes:
        gathered = bytearray()
        async for piece in self._until(mark):
            gathered += piece
            if len(gathered) > limit:
                raise TooLarge("A part of the multipart body is too large.")
        return bytes(gathered)

    async def _until(self, mark: bytes) -> AsyncIterator[bytes]:
        while True:
            at = self._buffer.find(mark)
            if at >= 0:
                piece = bytes(self._buffer[:at])
                del self._buffer[: at + len(mark)]
                if piece:
                    yield piece
                return
            # The end of the buffer may be the beginning of the mark.
            safe = len(self._buffer) - len(mark) + 1
            if safe > 0:
                piece = bytes(self._buffer[:safe])
                del self._buffer[:safe]
                yield piece
            if not await self._more():
                raise Incomplete("The multipart body ends before its last delimiter.")

    async def _more(self) -> bool:
        async for chunk in self._stream:
            self._buffer += chunk
            return True
        return False


def _boundary(content_type: str) -> bytes:
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary" and value:
            return value.strip('"').encode("latin-1")
    raise Invalid("The multipart body has no boundary.")
