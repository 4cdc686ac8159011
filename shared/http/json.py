"""Refuses JSON that two parsers could read differently, before a model sees it.

RFC 8259 leaves duplicate keys, lone surrogates, byte order marks and huge numbers to the
parser; a gateway, a log reader and this code would each pick their own meaning. The text is
parsed once here only to check it (about 10 µs for a task); pydantic then reads the bytes.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from shared.errors import MalformedRequest

# Our deepest model nests four levels; 32 leaves room and stays far from any recursion limit.
MAX_DEPTH = 32

# Possessive, and the closing quote may be missing: a string that never ends is passed over once.
# Were it given up, each quote in it would be tried anew, and 64 KiB of them cost half a minute.
_NOT_STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^\[\]{}"]++', re.DOTALL)


def loads(body: bytes) -> Any:
    """Raises MalformedRequest unless `body` is one unambiguous JSON text in UTF-8."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedRequest("The body is not UTF-8.") from None
    _check_depth(text)
    try:
        value: Any = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise MalformedRequest(_reason(error)) from None
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _check_depth(text: str) -> None:
    # Fewer brackets than levels cannot nest too deep, which spares nearly every body the scan.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NOT_STRUCTURE.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise MalformedRequest(f"The JSON nests deeper than {MAX_DEPTH} levels.")


def _check_surrogates(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedRequest("A string holds half of a surrogate pair.") from None


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"Not JSON: {error.msg} at character {error.pos}."
    if isinstance(error, _Refused):
        return str(error)
    return "Not JSON that can be read."


class _Refused(ValueError):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Refused("An object holds the same key twice.")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused("A number is too large.")
    return number


def _exact(text: str) -> int:
    # RFC 8259, section 6: beyond 53 bits a browser would read another number than we do.
    if len(text) > 17 or not -(2**53) < (number := int(text)) < 2**53:
        raise _Refused("An integer is too large to be read the same everywhere.")
    return number


def _no_constant(text: str) -> NoReturn:
    raise _Refused("NaN and Infinity are not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_float=_finite,
    parse_int=_exact,
    parse_constant=_no_constant,
)
