"""One request as it stood on the wire, and one answer: what the transports hand each other.

Path and query stay undecoded beside their decoded forms, because a signature covers the former.
Header text is UTF-8 with surrogate escapes, so that any bytes survive the way in and out.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from emulators.storage.errors import Incomplete, Invalid, TooLarge
from emulators.storage.model import Resource

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A JSON body describes one object or bucket; the largest we know (lifecycle rules) are 100 KB.
JSON_LIMIT = 1024 * 1024


class Disconnected(Exception):
    """The caller went away in the middle of its body."""


class Body:
    """The request's bytes, once. `seen` counts them; `watch` is told of each piece; the byte at
    `altered_at` is another than was sent."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.seen = 0
        self.finished = False
        self.watch: Callable[[int], None] = lambda seen: None
        self.altered_at: int | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while not self.finished:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.finished = True
                raise Disconnected
            piece = message.get("body", b"")
            self.finished = not message.get("more_body", False)
            self.seen += len(piece)
            self.watch(self.seen)
            if piece:
                yield self._altered(piece)

    def _altered(self, piece: bytes) -> bytes:
        at = -1 if self.altered_at is None else self.altered_at - (self.seen - len(piece))
        if not 0 <= at < len(piece):
            return piece
        return piece[:at] + bytes([piece[at] ^ 1]) + piece[at + 1 :]

    async def drain(self) -> None:
        """Read what is left and keep none of it."""
        self.watch = lambda seen: None
        async for _ in self:
            pass


def memory_body(data: bytes) -> Body:
    async def receive() -> Message:
        return {"type": "http.request", "body": data, "more_body": False}

    return Body(receive)


@dataclass
class Request:
    method: str
    raw_path: str
    raw_query: str
    header_list: list[tuple[str, str]]
    """Names in lower case, in the order of the wire, repeated ones included."""
    body: Body
    scheme: str = "http"
    closing: ExitStack = field(default_factory=ExitStack)
    """What was opened for the answer; closed once it is sent."""

    @cached_property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, value in self.header_list:
            found[name] = f"{found[name]},{value}" if name in found else value
        return found

    @cached_property
    def query_list(self) -> list[tuple[str, str]]:
        """Decoded pairs; a plus sign is a plus sign, as in the real service's signatures."""
        pairs = (item.partition("=") for item in self.raw_query.split("&") if item)
        return [(_decoded(name), _decoded(value)) for name, _, value in pairs]

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(self.query_list)

    @cached_property
    def segments(self) -> list[str]:
        """The decoded path segments; a `%2F` inside one stays inside it."""
        return [_decoded(segment) for segment in self.raw_path.split("/")[1:]] or [""]

    def check_text(self) -> None:
        """Raise Invalid where path or query are not UTF-8."""
        texts = [*self.segments, *(text for pair in self.query_list for text in pair)]
        try:
            "".join(texts).encode()
        except UnicodeEncodeError:
            raise Invalid("The path or the query is not UTF-8.") from None

    @property
    def base(self) -> str:
        return f"{self.scheme}://{self.headers.get('host', 'localhost')}"

    @property
    def length(self) -> int | None:
        text = self.headers.get("content-length")
        return int(text) if text else None

    @property
    def has_body(self) -> bool:
        return self.length is not None or "transfer-encoding" in self.headers

    async def json(self) -> Resource:
        """The body as a JSON object; an empty body is an empty object."""
        data = await read_all(self.body, JSON_LIMIT)
        return parse_json(data)


@dataclass
class Answer:
    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    fixed = {"content-type": "application/json; charset=UTF-8", "cache-control": "no-store"}
    return Answer(status, json.dumps(body).encode(), {**fixed, **(headers or {})})


async def read_all(stream: AsyncIterator[bytes] | Body, limit: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in stream:
        size += len(piece)
        if size > limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        pieces.append(piece)
    return b"".join(pieces)


def parse_json(data: bytes) -> Resource:
    if not data.strip():
        return {}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise Invalid("Parse Error: the body is not JSON.") from None
    if not isinstance(found, dict):
        raise Invalid("Parse Error: the body is not a JSON object.")
    return found


@dataclass
class Part:
    headers: dict[str, str]
    body: AsyncIterator[bytes]


class Multipart:
    """A multipart body read part by part (RFC 2046); holds one chunk, whatever a part's size.

    A part's body must be read to its end before the next part is asked for.
    """

    def __init__(self, stream: Body | AsyncIterator[bytes], content_type: str) -> None:
        self._chunks = aiter(stream)
        self._delimiter = b"\r\n--" + boundary(content_type)
        # The first delimiter stands at the very beginning, without the line break.
        self._buffer = b"\r\n"

    async def __aiter__(self) -> AsyncIterator[Part]:
        async for _ in self._until_delimiter():
            pass
        while not await self._at_end():
            head = await self._head()
            yield Part(head, self._until_delimiter())

    async def _more(self) -> None:
        try:
            self._buffer += await anext(self._chunks)
        except StopAsyncIteration:
            raise Incomplete("The multipart body ends before its last boundary.") from None

    async def _until_delimiter(self) -> AsyncIterator[bytes]:
        keep = len(self._delimiter) - 1
        while (found := self._buffer.find(self._delimiter)) < 0:
            ready, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
            if ready:
                yield ready
            await self._more()
        ready, self._buffer = self._buffer[:found], self._buffer[found + len(self._delimiter) :]
        if ready:
            yield ready

    async def _at_end(self) -> bool:
        while len(self._buffer) < 2:
            await self._more()
        return self._buffer.startswith(b"--")

    async def _head(self) -> dict[str, str]:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > 64 * 1024:
                raise Invalid("The headers of a part are too large.")
            await self._more()
        lines, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        # A part without headers begins with its empty line; the search needs both breaks.
        return part_headers(lines)


def part_headers(lines: bytes) -> dict[str, str]:
    found = {}
    for line in lines.split(b"\r\n"):
        name, separator, value = line.partition(b":")
        if separator:
            text = value.strip().decode("utf-8", "surrogateescape")
            found[name.strip().decode("latin-1").lower()] = text
    return found


def boundary(content_type: str) -> bytes:
    text = parameters(content_type).get("boundary", "")
    if not text:
        raise Invalid("The content type names no boundary.")
    return text.encode()


def parameters(header: str) -> dict[str, str]:
    """The `name=value` parts of a header such as Content-Type or Content-Disposition."""
    found = {}
    rest = header.partition(";")[2]
    while rest.strip():
        name, _, rest = rest.partition("=")
        rest = rest.lstrip()
        if rest.startswith('"'):
            value, _, rest = rest[1:].partition('"')
            rest = rest.partition(";")[2]
        else:
            value, _, rest = rest.partition(";")
        found[name.strip().lower()] = value.strip()
    return found


def _decoded(text: str) -> str:
    return unquote(text, errors="surrogateescape")
