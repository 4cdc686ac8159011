"""What a handler's signature is made of: models, the caller, headers, files, the reply.

Everything that comes over the wire is checked strictly (a number is not a string, only the
camelCase names count); the same models built in Python stay lenient, so that a service can
pass snake_case names and lists for tuples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

T = TypeVar("T")

# RFC 9110: a field name is a token, an entity tag has no quote or control character inside.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')


def camel_case(name: str) -> str:
    """`media_id` is mediaId. pydantic's own also raises a letter behind a digit (crc32C)."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


class Model(BaseModel):
    """A request or response body, a query string or the text fields of a form."""

    model_config = ConfigDict(
        alias_generator=camel_case,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        # A function imports models of routes that it does not serve; those are never built.
        defer_build=True,
    )


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls, as the access token says; a handler without this parameter is public."""

    user: str
    session: str
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Authenticator(Protocol):
    """Raises errors.Unauthenticated for anything but a token that is valid now."""

    def authenticate(self, bearer: str) -> Principal: ...


class SessionCheck(Protocol):
    """What the token cannot say: whether its session still is."""

    def check(self, caller: Principal) -> None:
        """Raises errors.Unauthenticated, and Unavailable when there is no knowing."""
        ...


@dataclass(frozen=True, slots=True)
class Header:
    """Marks a parameter as a request header: `Annotated[str | None, Header("If-Match")]`."""

    name: str


@dataclass(frozen=True, slots=True)
class Cookie:
    """Marks a parameter as a cookie: `Annotated[str | None, Cookie("__Host-name")]`, always
    plain text and never required, since a client cannot help what a browser sends."""

    name: str


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of a multipart body, closed when the handler has returned.

    `filename` and `content_type` are what the client wrote, cleaned of nothing: whoever uses
    them decides what they may hold. `size` is in bytes and counted, not declared.
    """

    filename: str
    content_type: str
    stream: BinaryIO = field(repr=False)
    size: int


class Reply(Generic[T]):
    """A body with what the plain return value cannot say: status, entity tag, headers. The body
    may be an iterator of bytes, which make the JSON that the type promises while it is sent.

    Raises ValueError for a header that could start another one (CR, LF, any control or
    non-ASCII character), so that a value of a user cannot split the answer.
    """

    __slots__ = ("body", "etag", "headers", "status")

    def __init__(
        self,
        body: T | Iterator[bytes],
        *,
        status: int | None = None,
        etag: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if etag is not None and not _ETAG.fullmatch(etag):
            raise ValueError('an entity tag looks like "v1" or W/"v1", quotes included')
        self.body = body
        self.status = status
        self.etag = etag
        self.headers = check_headers(headers or {})


def check_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"not a header name: {name!r}")
        if not (value.isascii() and value.isprintable()):
            raise ValueError(f"the header {name} would hold a control or non-ASCII character")
    return headers
