"""Large JPEGs that are quick to make: small pictures with comments, each different."""

from __future__ import annotations

from tests.fixtures import pictures

_LONGEST = 65535


def jpeg(size: int, number: int) -> bytes:
    """A valid JPEG of exactly `size` bytes, unlike that of any other number."""
    small = pictures.saved(pictures.photo(640, 480), "JPEG")
    return padded(small, size, str(number).encode())


def padded(content: bytes, size: int, first: bytes = b"") -> bytes:
    """With comments (ITU T.81, B.2.4.5) behind the first marker up to that size."""
    comments = [_comment(first.ljust(16, b"."))]
    missing = size - len(content) - len(comments[0])
    while missing > 0:
        # A comment takes four bytes at least, and none may be left that is too small.
        length = missing if missing <= _LONGEST else min(_LONGEST, missing - 4)
        comments.append(_comment(b"\0" * (length - 4)))
        missing -= length
    return content[:2] + b"".join(comments) + content[2:]


def _comment(text: bytes) -> bytes:
    return b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text
