"""CRC32C as Cloud Storage writes it: base64 of the four bytes, big-endian."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import google_crc32c


def crc32c_of(chunks: Iterable[bytes]) -> str:
    value = 0
    for chunk in chunks:
        value = google_crc32c.extend(value, chunk)
    return base64.b64encode(value.to_bytes(4, "big")).decode()
