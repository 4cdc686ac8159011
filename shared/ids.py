"""Identifiers: 20 characters of lowercase base32, 100 random bits, safe in paths and URLs.

An id that does not have this form is answered like one that does not exist, before it comes
near a document path or an object name.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from shared.errors import NotFound

_ID = re.compile(r"[a-z2-7]{20}")
# The shortest whole number of base32's groups that gives 20 characters: the encoder is slow Python.
_BYTES = 15


def new_id() -> str:
    return _text(secrets.token_bytes(_BYTES))


def derived_id(*parts: str) -> str:
    """The same id for the same parts: a request sent twice meets its first document."""
    return _text(hashlib.sha256("\0".join(parts).encode()).digest())


def checked_id(value: str) -> str:
    """Raises NotFound for what cannot be one of our ids."""
    if not _ID.fullmatch(value):
        raise NotFound
    return value


def _text(raw: bytes) -> str:
    return base64.b32encode(raw[:_BYTES]).decode().lower()[:20]
