"""POSTs to one host over kept connections, in a seventh of the CPU that urllib3 takes for them.

A signature is asked for with every upload and every picture of a page, so what a general client
does around each call (URL handling, header objects, a mail parser for the answer's head) was a
sixth of announcing an upload. This one speaks what Google's front ends speak, HTTP/1.1 with a
Content-Length or chunks (RFC 9112), and takes everything else for no answer. It never sends a
request twice: whoever calls knows whether that may be done.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
import weakref
from collections import deque
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import urlsplit

# Bytes of an answer with its head; ours have less than two thousand.
_LARGEST = 64 * 1024
_PIECE = 16 * 1024


class NoAnswer(Exception):
    """The host was not reached, fell silent, or spoke what is no answer; whether it carried out
    the request is open."""


class KeptHTTP:
    """`origin` is `https://host` or, of an emulator, `http://host:port`; up to `keep` idle
    connections are kept. Any number of threads may call."""

    def __init__(self, origin: str, keep: int) -> None:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"not an origin: {origin!r}")
        self._secure = parts.scheme == "https"
        self._address = (parts.hostname, parts.port or (443 if self._secure else 80))
        self._host = parts.netloc
        self._keep = keep
        self._idle: deque[_Connection] = deque()
        weakref.finalize(self, _close_all, self._idle)

    def post(
        self, path: str, body: bytes, headers: Mapping[str, str], *, connect: float, whole: float
    ) -> tuple[int, bytes]:
        """Status and body. `connect` seconds are given to a new connection, `whole` to everything.
        Raises NoAnswer, and ValueError for what could not be sent as one request."""
        request = self._head(path, headers, len(body)) + body
        end = time.monotonic() + whole
        connection = self._kept()
        try:
            connection = connection or _Connection(self._dialled(min(connect, whole)))
            status, answer = connection.exchange(request, end)
        except (OSError, ValueError) as error:
            if connection is not None:
                connection.close()
            raise NoAnswer(f"{self._host}: {error or type(error).__name__}") from None
        if connection.is_reusable and len(self._idle) < self._keep:
            self._idle.append(connection)
        else:
            connection.close()
        return status, answer

    def close(self) -> None:
        _close_all(self._idle)

    def _head(self, path: str, headers: Mapping[str, str], length: int) -> bytes:
        lines = [f"POST {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {length}")
        if not all(line.isascii() and line.isprintable() for line in lines):
            raise ValueError("a control or non-ASCII character in the head of a request")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _kept(self) -> _Connection | None:
        """The one used last, so that the others grow old; those that were closed are dropped."""
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # Another thread took it.
                break
            if connection.is_quiet():
                return connection
            connection.close()
        return None

    def _dialled(self, seconds: float) -> socket.socket:
        dialled = socket.create_connection(self._address, seconds)
        try:
            # The request is one write, and nothing more comes that could wait for company.
            dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._secure:
                return self._trust.wrap_socket(dialled, server_hostname=self._address[0])
        except BaseException:
            dialled.close()
            raise
        return dialled

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()


class _Connection:
    """Reads one answer after the other; a ValueError or OSError leaves it unusable."""

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._buffer = bytearray()
        self._end = 0.0
        self._read = 0
        self.is_reusable = False

    def close(self) -> None:
        self._socket.close()

    def is_quiet(self) -> bool:
        """False when it was closed meanwhile, and when something came that nobody asked for."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def exchange(self, request: bytes, end: float) -> tuple[int, bytes]:
        """`end` is on the monotonic clock."""
        self._end, self._read, self.is_reusable = end, 0, False
        self._socket.settimeout(self._left())
        self._socket.sendall(request)
        status, fields = self._head()
        if "transfer-encoding" in fields:
            if fields["transfer-encoding"].lower() != "chunked" or "content-length" in fields:
                raise ValueError("an answer of unknown length")
            body = self._chunks()
        else:
            body = self._exactly(_number(fields.get("content-length", ""), 10))
        closes = fields.get("connection", "").lower() == "close"
        # What comes behind an answer is no answer to the next request.
        self.is_reusable = not closes and not self._buffer
        return status, body

    def _head(self) -> tuple[int, dict[str, str]]:
        while (length := self._buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        start, *lines = self._buffer[:length].decode("latin-1").split("\r\n")
        del self._buffer[: length + 4]
        version, _, rest = start.partition(" ")
        status = _number(rest[:3], 10)
        # An interim answer (1xx) is sent to who asks for it, and 204 and 304 have no body.
        if version != "HTTP/1.1" or rest[3:4] not in ("", " ") or status < 200:
            raise ValueError("no HTTP/1.1 answer")
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or (name in fields and name in ("content-length", "transfer-encoding")):
                raise ValueError("a head that can be read in two ways")
            fields[name] = value.strip()
        if status in (204, 304):
            fields["content-length"] = "0"
        return status, fields

    def _chunks(self) -> bytes:
        body = b""
        while size := _number(self._line().partition(";")[0].strip(), 16):
            body += self._exactly(size)
            if self._line():
                raise ValueError("a chunk longer than it says")
        while self._line():  # Trailers.
            pass
        return body

    def _line(self) -> str:
        while (length := self._buffer.find(b"\r\n")) < 0:
            self._more()
        line = self._buffer[:length].decode("latin-1")
        del self._buffer[: length + 2]
        return line

    def _exactly(self, size: int) -> bytes:
        if size > _LARGEST:
            raise ValueError("an answer that is too long")
        while len(self._buffer) < size:
            self._more()
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _more(self) -> None:
        self._socket.settimeout(self._left())
        piece = self._socket.recv(_PIECE)
        self._read += len(piece)
        if not piece or self._read > _LARGEST:
            raise ValueError("an answer that is too long" if piece else "closed before its answer")
        self._buffer += piece

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        return left


def _close_all(idle: deque[_Connection]) -> None:
    while idle:
        idle.pop().close()


_DIGITS = {10: frozenset("0123456789"), 16: frozenset("0123456789abcdefABCDEF")}


def _number(text: str, base: int) -> int:
    """Digits only, where int() also takes signs, spaces and underscores."""
    if not text or not _DIGITS[base].issuperset(text):
        raise ValueError("not a number")
    return int(text, base)
