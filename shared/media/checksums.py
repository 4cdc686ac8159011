"""CRC32C as Cloud Storage writes it: base64 of the four bytes, big-endian."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import google_crc32c


class Checksum:
    """Of what passes by in pieces."""

    def __init__(self) -> None:
        self._value = 0

    def add(self, piece: bytes) -> None:
        self._value = google_crc32c.extend(self._value, piece)

    @property
    def text(self) -> str:
        return base64.b64encode(self._value.to_bytes(4, "big")).decode()


def crc32c_of(chunks: Iterable[bytes]) -> str:
    checksum = Checksum()
    for chunk in chunks:
        checksum.add(chunk)
    return checksum.text
