"""One request as the binders see it: the WSGI environment, read strictly and only once.

The environment is read directly because flask.Request replaces bytes that are not UTF-8
and parses forms without a limit of ours.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import parse_qsl

from werkzeug.exceptions import BadRequest
from werkzeug.wsgi import get_input_stream

from shared.errors import MalformedRequest, NotFound, TooLarge, Unauthenticated
from shared.http.logs import trace_of

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*)")
_DIGITS = re.compile(r"[0-9]{1,18}")

# A signed token of ours is below 1 KiB; anything much longer only costs time to refuse.
_MAX_BEARER = 4096
# More than any filter of ours has; parse_qsl refuses before it splits.
_MAX_QUERY_FIELDS = 64
_CHUNK = 64 * 1024


class Incoming:
    """`request_id` is the client's when well-formed, else new; `args` come from the path."""

    __slots__ = ("args", "environ", "max_body", "method", "request_id", "trace")

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.request_id = _request_id(environ.get("HTTP_X_REQUEST_ID", ""))
        self.trace = trace_of(environ)
        self.args: dict[str, str] = {}
        self.max_body = 0

    def header(self, key: str) -> str | None:
        """The header under its WSGI key (`HTTP_IF_MATCH`)."""
        value: str | None = self.environ.get(key)
        return value

    def cookie(self, name: str) -> str | None:
        """None when there is no such cookie, and when there are two: one of them was planted."""
        pairs = (pair.strip() for pair in self.environ.get("HTTP_COOKIE", "").split(";"))
        found = [pair.partition("=")[2] for pair in pairs if pair.startswith(f"{name}=")]
        return found[0] if len(found) == 1 else None

    def path(self) -> str:
        """The decoded path, "/" when empty. Raises NotFound for one that is ambiguous."""
        return _clean_path(self.environ)

    def bearer(self) -> str:
        """Raises Unauthenticated unless the Authorization header holds one bearer token."""
        header = self.environ.get("HTTP_AUTHORIZATION", "")
        found = _BEARER.fullmatch(header) if len(header) <= _MAX_BEARER else None
        if found is None:
            raise Unauthenticated()
        return found[1]

    def query(self) -> list[tuple[str, str]]:
        try:
            return parse_qsl(
                self.environ.get("QUERY_STRING", ""),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=_MAX_QUERY_FIELDS,
            )
        except ValueError:
            raise MalformedRequest("The query string could not be read.") from None

    def has_body(self) -> bool:
        return bool(self._length()) or "HTTP_TRANSFER_ENCODING" in self.environ

    def check_size(self) -> None:
        """Raises TooLarge for a declared length over the cap, before a byte is read."""
        if (self._length() or 0) > self.max_body:
            raise self._too_large()

    def read(self) -> bytes:
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The body in pieces; never takes more than one byte over the cap off the wire.

        A chunked body declares no length, so its size shows only here: raises TooLarge.
        """
        self.check_size()
        declared = self._length()
        stream = get_input_stream(self.environ)
        taken = 0
        while piece := _read(stream, min(_CHUNK, self.max_body + 1 - taken)):
            taken += len(piece)
            if taken > self.max_body:
                raise self._too_large()
            yield piece
        if declared is not None and taken != declared:
            raise MalformedRequest("The body ended before its Content-Length.")

    def _length(self) -> int | None:
        text = self.environ.get("CONTENT_LENGTH")
        if not text:
            return None
        if not _DIGITS.fullmatch(text):
            raise MalformedRequest("Content-Length is not a number.")
        return int(text)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body may have up to {self.max_body} bytes.")


def _read(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except (BadRequest, OSError):
        raise MalformedRequest("The body ended before its Content-Length.") from None


def _request_id(sent: str) -> str:
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)


def _clean_path(environ: dict[str, Any]) -> str:
    try:
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8") or "/"
    except UnicodeError:
        raise NotFound() from None
    if not path.isprintable() or "//" in path or "\\" in path or not path.startswith("/"):
        raise NotFound()
    if "/." in path and any(segment in (".", "..") for segment in path.split("/")):
        raise NotFound()
    # A server decodes %2F into a slash; only the raw form tells `a%2Fb` from two segments.
    if "%2f" in _raw_path(environ).lower():
        raise NotFound()
    return path


def _raw_path(environ: dict[str, Any]) -> str:
    raw: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    return raw.partition("?")[0]
