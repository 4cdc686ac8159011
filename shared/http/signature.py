"""Reads a handler's signature once, at registration, into the binders that fill it.

The order of `Signature.binders` is the order of the checks in every request: who calls
(401), then headers and query (422), then the body (413, 415, 400, 422), so that nobody
unknown gets a body read. A signature that cannot be served raises TypeError at import.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import TypeAdapter

from shared.http.fields import TextFields
from shared.http.model import Cookie, Header, Model, Principal, Reply, UploadedFile
from shared.http.source import Source

N = TypeVar("N")


@dataclass(frozen=True)
class HeaderParameter:
    parameter: str
    name: str
    required: bool
    annotation: Any
    adapter: TypeAdapter[Any] | None
    """None for plain text, which needs no check."""

    @property
    def key(self) -> str:
        return "HTTP_" + self.name.upper().replace("-", "_")


@dataclass(frozen=True)
class Signature:
    """What one handler takes and gives, in the terms of HTTP."""

    path: tuple[str, ...]
    caller: str | None
    source: str | None
    headers: tuple[HeaderParameter, ...]
    cookies: tuple[tuple[str, str], ...]
    """Parameter name and the cookie's."""
    query: tuple[str, TextFields] | None
    body: tuple[str, type[Model]] | None
    body_optional: bool
    form: tuple[str, TextFields] | None
    files: tuple[tuple[str, bool], ...]
    """Parameter name and whether it must be there."""
    answer: Any
    """The type of the answer's body; None when it has none."""
    is_reply: bool
    """Whether the answer may carry headers of its own, an entity tag among them."""

    @property
    def is_multipart(self) -> bool:
        return bool(self.files) or self.form is not None


class _Reading:
    """Sorts the parameters of one handler by what they ask for."""

    def __init__(self, where: str, path: tuple[str, ...]) -> None:
        self.where = where
        self.path = path
        self.caller: str | None = None
        self.source: str | None = None
        self.headers: list[HeaderParameter] = []
        self.cookies: list[tuple[str, str]] = []
        self.files: list[tuple[str, bool]] = []
        self.models: dict[str, tuple[str, type[Model], bool]] = {}

    def take(self, name: str, annotation: Any, has_default: bool) -> None:
        plain, optional = _without_none(annotation)
        if name in self.path:
            self._expect(annotation is str, name, "a path parameter is a str")
        elif plain is Principal:
            self._expect(self.caller is None and not optional, name, "one Principal, never None")
            self.caller = name
        elif plain is Source:
            self._expect(self.source is None and not optional, name, "one Source, never None")
            self.source = name
        elif cookie := _note_of(annotation, Cookie):
            self._expect(
                get_args(annotation)[0] == str | None and has_default, name, "a cookie is optional"
            )
            self.cookies.append((name, cookie.name))
        elif header := _note_of(annotation, Header):
            self.headers.append(_header_parameter(name, header, annotation, has_default))
        elif plain is UploadedFile:
            self.files.append((name, not optional))
        elif isinstance(plain, type) and issubclass(plain, Model):
            self._take_model(name, plain, optional, has_default)
        else:
            self._expect(False, name, f"nothing in a request is a {annotation!r}")

    def _take_model(self, name: str, model: type[Model], optional: bool, default: bool) -> None:
        kind = name if name in ("query", "form") else "body"
        self._expect(kind not in self.models, name, f"a second {kind}")
        self._expect(optional == default, name, "`Model | None = None` or a plain model")
        self._expect(not optional or kind == "body", name, "only a body can be left out")
        self.models[kind] = (name, model, optional)

    def _expect(self, holds: bool, name: str, rule: str) -> None:
        if not holds:
            raise TypeError(f"{self.where}: parameter {name!r}: {rule}")


def read_signature(handler: Callable[..., Any], path: tuple[str, ...]) -> Signature:
    """Raises TypeError when a parameter or the return type means nothing in HTTP."""
    where = f"{handler.__module__}.{handler.__qualname__}"
    try:
        hints = typing.get_type_hints(handler, include_extras=True)
    except NameError as error:
        raise TypeError(f"{where}: {error}; types of a handler live at module level") from None
    reading = _Reading(where, path)
    parameters = inspect.signature(handler).parameters
    for name, parameter in parameters.items():
        if name not in hints:
            raise TypeError(f"{where}: parameter {name!r} has no type")
        reading.take(name, hints[name], parameter.default is not parameter.empty)
    if missing := set(path) - set(parameters):
        raise TypeError(f"{where}: the path names {sorted(missing)}, the handler does not")
    if "return" not in hints:
        raise TypeError(f"{where}: the return type is missing")
    return _signature(reading, hints["return"])


def _signature(reading: _Reading, answer: Any) -> Signature:
    body = reading.models.get("body")
    query = reading.models.get("query")
    form = reading.models.get("form")
    if body and (form or reading.files):
        raise TypeError(f"{reading.where}: a JSON body and a form exclude each other")
    return Signature(
        path=reading.path,
        caller=reading.caller,
        source=reading.source,
        headers=tuple(reading.headers),
        cookies=tuple(reading.cookies),
        query=(query[0], TextFields(query[1])) if query else None,
        body=(body[0], body[1]) if body else None,
        body_optional=bool(body and body[2]),
        form=(form[0], TextFields(form[1])) if form else None,
        files=tuple(reading.files),
        answer=_answer_of(answer, reading.where),
        is_reply=get_origin(answer) is Reply,
    )


def _answer_of(annotation: Any, where: str) -> Any:
    if get_origin(annotation) is Reply:
        annotation = get_args(annotation)[0]
    if annotation is Reply:
        raise TypeError(f"{where}: say what the Reply holds, `Reply[View]` or `Reply[None]`")
    return None if annotation is type(None) else annotation


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [a for a in get_args(annotation) if a is not type(None)]
        if len(rest) == 1 and len(rest) < len(get_args(annotation)):
            return rest[0], True
    return annotation, False


def _note_of(annotation: Any, kind: type[N]) -> N | None:
    if get_origin(annotation) is not Annotated:
        return None
    found = [note for note in get_args(annotation)[1:] if isinstance(note, kind)]
    return found[0] if found else None


def _header_parameter(
    name: str, header: Header, annotation: Any, has_default: bool
) -> HeaderParameter:
    plain, _ = _without_none(get_args(annotation)[0])
    is_text = plain is str and len(get_args(annotation)) == 2
    adapter = None if is_text else TypeAdapter[Any](annotation)
    return HeaderParameter(name, header.name, not has_default, annotation, adapter)
