"""What a walk over a file's container finds, and why a file is refused."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Literal

Reason = Literal[
    "unknown-type",
    "type-mismatch",
    "bad-dimensions",
    "too-many-pixels",
    "truncated",
    "corrupt",
    "archive",
    "size-mismatch",
    "checksum-mismatch",
    "infected",
    "scan-limit",
]

# Kept as they are: no dimensions, no renditions.
DOCUMENTS = frozenset({"application/pdf", "text/plain"})

BE16, BE32, BE64 = Struct(">H"), Struct(">I"), Struct(">Q")
LE16, LE32, LE64 = Struct("<H"), Struct("<I"), Struct("<Q")


class Rejected(Exception):
    """The file is at fault and stays so: recorded and acknowledged, never tried again."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Outline:
    """A complete file of one of the taken types; sizes are pixels before orientation, and zero
    for a document."""

    type: str
    width: int = 0
    height: int = 0
    frames: int = 1
    deep: bool = False
    """More than 8 bits a channel."""
    scans: int = 1
    """Passes over all pixels that decoding takes; a progressive JPEG has about ten."""

    @property
    def is_document(self) -> bool:
        return self.type in DOCUMENTS


def number(kind: Struct, data: bytes, at: int) -> int:
    if at < 0 or at + kind.size > len(data):
        raise Rejected("truncated")
    return int(kind.unpack_from(data, at)[0])
