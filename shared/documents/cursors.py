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
from datetime import UTC, datetime

from shared.errors import Invalid

# A timestamp, an id of 20 characters and the binding take about 110 characters.
_LONGEST = 400
# It becomes part of a document's name in the query, so only what an id of ours can look like.
_ID = re.compile(r"[A-Za-z0-9]{1,64}")


def encode(stamp: datetime, document_id: str, scope: object) -> str:
    body = json.dumps([stamp.isoformat(), document_id, _bind(scope)], separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).rstrip(b"=").decode()


def decode(cursor: str, scope: object) -> tuple[datetime, str]:
    """Raises Invalid for anything that `encode` did not make for this scope."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        stamp, document_id, binding = json.loads(base64.b64decode(padded, b"-_", validate=True))
        if binding != _bind(scope) or not _ID.fullmatch(document_id):
            raise ValueError("another list's")
        when = datetime.fromisoformat(stamp)
        if when.tzinfo is None:
            raise ValueError("no zone")
        # Near the years 1 and 9999 a zone leads out of what a timestamp can hold.
        when = when.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, binascii.Error, RecursionError):
        raise Invalid(
            errors=[{"pointer": "/cursor", "message": "is not a cursor of this list"}]
        ) from None
    return when, document_id


def _bind(scope: object) -> str:
    return hashlib.sha256(repr(scope).encode()).hexdigest()[:12]
