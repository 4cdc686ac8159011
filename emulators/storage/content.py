"""The bytes of objects: written once to a temporary file, hashed on the way, then adopted.

An object's file is complete before it gets its name, so a kill in the middle of a write leaves
only a temporary file, which the next start removes. Nothing is flushed to the platter: the
promise is about a killed process, not about a lost power supply.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

from emulators.storage.errors import BadDigest

# A quarter of a MiB: what one upload or download holds in memory. A hundred of them at once
# are 25 MB; smaller pieces cost more thread hops per byte than they save.
PIECE = 256 * 1024


class Digests:
    """Size and checksums of bytes seen so far, in the base64 form of the API."""

    def __init__(self, *, with_sha256: bool = False) -> None:
        self.size = 0
        self._crc: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if with_sha256 else None

    def update(self, piece: bytes) -> None:
        self.size += len(piece)
        self._crc.update(piece)
        self._md5.update(piece)
        if self._sha256:
            self._sha256.update(piece)

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc.digest()).decode()

    @property
    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest() if self._sha256 else ""


class Sink:
    """One temporary file being written; `keep` hands it over, `discard` removes it."""

    def __init__(self, path: Path, *, with_sha256: bool = False) -> None:
        self.path = path
        self.digests = Digests(with_sha256=with_sha256)
        self._file: BinaryIO = path.open("wb")

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self.digests.update(piece)

    def close(self) -> None:
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    """The folder of object bytes; every stored version owns one file."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._incoming = root / "incoming"
        self.partial = root / "partial"
        for folder in (self._blobs, self._incoming, self.partial):
            folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink()

    def sink(self, *, with_sha256: bool = False) -> Sink:
        return Sink(self._incoming / uuid.uuid4().hex, with_sha256=with_sha256)

    def adopt(self, path: Path) -> str:
        """Give a complete file a lasting name beside its own; the index decides if it counts.

        The caller removes the old name once the index has the new one: a kill in between loses
        nothing. For a copy the old name stays, and no byte is copied.
        """
        blob = uuid.uuid4().hex
        target = self.path(blob)
        target.parent.mkdir(exist_ok=True)
        os.link(path, target)
        return blob

    def path(self, blob: str) -> Path:
        return self._blobs / blob[:2] / blob

    def remove(self, blob: str) -> None:
        self.path(blob).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        for folder in os.scandir(self._blobs):
            for entry in os.scandir(folder.path):
                yield entry.name


async def fill(sink: Sink, stream: AsyncIterator[bytes]) -> None:
    """Write a stream in threads, PIECE by PIECE."""
    async for piece in pieces(stream):
        await asyncio.to_thread(sink.write, piece)


async def pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather a server's small chunks, so that a thread hop carries a worthwhile load."""
    gathered: list[bytes] = []
    size = 0
    async for chunk in stream:
        gathered.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(gathered)
            gathered, size = [], 0
    if gathered:
        yield b"".join(gathered)


async def read(file: BinaryIO, start: int, length: int) -> AsyncIterator[bytes]:
    """The bytes `start` … `start + length` of an open file, which may be unlinked by now."""
    await asyncio.to_thread(file.seek, start)
    while length > 0:
        piece = await asyncio.to_thread(file.read, min(PIECE, length))
        if not piece:
            return
        length -= len(piece)
        yield piece


def check(digests: Digests, *, crc32c: str | None, md5: str | None) -> None:
    """Refuse bytes that are not those which the caller announced (base64 of the checksums)."""
    if md5 and md5 != digests.md5:
        raise BadDigest(f'Provided MD5 hash "{md5}" doesn\'t match calculated "{digests.md5}".')
    if crc32c and crc32c != digests.crc32c:
        raise BadDigest(
            f'Provided CRC32C "{crc32c}" doesn\'t match calculated CRC32C "{digests.crc32c}".'
        )


def parse_goog_hash(values: list[str]) -> dict[str, str]:
    """`crc32c=…,md5=…` out of one or several x-goog-hash headers."""
    found: dict[str, str] = {}
    for item in ",".join(values).split(","):
        name, separator, value = item.strip().partition("=")
        if separator:
            found[name.lower()] = value.strip()
    return found
