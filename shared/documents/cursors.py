"""Opaque list cursors: the place in a query's order, bound to whose list and which filter.

A cursor is a position, not a permission: a forged one moves its forger around in his own list,
so it carries a binding and no signature.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from shared.errors import Invalid

# A key of 200 characters, an id of 20 and the binding take about 340 characters.
_LONGEST = 400
# It becomes part of a document's name in the query, so only what an id of ours can look like.
_ID = re.compile(r"[A-Za-z0-9]{1,64}")
# Letters and digits of any script: no lone surrogate, which no request could carry.
_KEY = re.compile(r"[\w ]{0,200}")
V = TypeVar("V")


def encode(stamp: datetime, document_id: str, scope: object) -> str:
    return _pack(stamp.isoformat(), document_id, scope)


def decode(cursor: str, scope: object) -> tuple[datetime, str]:
    """Raises Invalid for anything that `encode` did not make for this scope."""
    return _unpack(cursor, scope, _moment)


def encode_key(key: str, document_id: str, scope: object) -> str:
    """For a list in the order of short texts of letters and digits instead of moments."""
    return _pack(key, document_id, scope)


def decode_key(cursor: str, scope: object) -> tuple[str, str]:
    """Raises Invalid for anything that `encode_key` did not make for this scope."""
    return _unpack(cursor, scope, _key)


def _pack(value: str, document_id: str, scope: object) -> str:
    body = json.dumps([value, document_id, _bind(scope)], separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(body.encode()).rstrip(b"=").decode()


def _unpack(cursor: str, scope: object, read: Callable[[Any], V]) -> tuple[V, str]:
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        value, document_id, binding = json.loads(base64.b64decode(padded, b"-_", validate=True))
        if binding != _bind(scope) or not _ID.fullmatch(document_id):
            raise ValueError("another list's")
        return read(value), document_id
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise Invalid(
            errors=[{"pointer": "/cursor", "message": "is not a cursor of this list"}]
        ) from None


def _moment(value: Any) -> datetime:
    when = datetime.fromisoformat(value)
    if when.tzinfo is None:
        raise ValueError("no zone")
    # Near the years 1 and 9999 a zone leads out of what a timestamp can hold.
    return when.astimezone(UTC)


def _key(value: Any) -> str:
    if not _KEY.fullmatch(value):
        raise ValueError("no key of ours")
    return str(value)


def _bind(scope: object) -> str:
    return hashlib.sha256(repr(scope).encode()).hexdigest()[:12]
