"""Resumable sessions, the same for both transports: one partial file and one row each.

The partial file is the truth about what has arrived, so a session survives a kill; checksums are
taken from it at the end. A session counts bytes in units of 256 KiB until its last chunk, as the
real service does: whatever stands behind the last whole unit was never acknowledged. Its answers
let exactly the origin that started it read them.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from emulators.storage import content
from emulators.storage.errors import Cancelled, Invalid, TooLarge, TooSmall
from emulators.storage.model import Preconditions, Resource, Version
from emulators.storage.store import Store
from emulators.storage.transport import Request

UNIT = 256 * 1024
_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")


@dataclass(frozen=True)
class Span:
    """A Content-Range: `start` None asks for the state, `total` None is not yet known."""

    start: int | None
    length: int | None
    total: int | None

    @property
    def last(self) -> bool:
        if self.start is None:
            return False
        return self.length is None or self.total == self.start + self.length


def span(request: Request) -> Span:
    text = request.headers.get("content-range")
    if text is None:
        return Span(0, request.length, request.length)
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise Invalid(f"Failed to parse Content-Range header: {text}")
    total = None if found[3] == "*" else int(found[3])
    if found[1] is None:
        return Span(None, None, total)
    first, last = int(found[1]), int(found[2])
    if last < first or (total is not None and last >= total):
        raise Invalid(f"Invalid Content-Range: {text}")
    if request.length not in (None, last - first + 1):
        raise Invalid("Content-Range and Content-Length do not agree.")
    return Span(first, last - first + 1, total)


@dataclass(frozen=True)
class Outcome:
    """Either the finished version or how many bytes stand so far."""

    version: Version | None
    received: int


class Sessions:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    async def start(
        self,
        bucket: str,
        name: str,
        fields: Mapping[str, Any],
        when: Preconditions,
        *,
        origin: str | None,
        cors: Mapping[str, str],
        hashes: Mapping[str, str],
        limits: tuple[int, int | None] = (0, None),
    ) -> str:
        """Open a session; returns its id, which is all that a caller needs to write to it."""
        await asyncio.to_thread(self._store.check_write, bucket, name, when)
        upload = secrets.token_urlsafe(32)
        session = {
            "bucket": bucket,
            "name": name,
            "fields": dict(fields),
            "when": vars(when),
            "origin": origin,
            "cors": dict(cors),
            "hashes": dict(hashes),
            "limits": limits,
        }
        await asyncio.to_thread(self._path(upload).touch)
        await asyncio.to_thread(self._store.add_upload, upload, session)
        return upload

    async def session(self, upload: str) -> Resource:
        return await asyncio.to_thread(self._store.upload, upload)

    async def put(self, upload: str, request: Request) -> Outcome:
        async with self._only(upload):
            session = await self.session(upload)
            if "finished" in session:
                await request.body.drain()
                return await self._again(session)
            asked = span(request)
            received = await asyncio.to_thread(self._size, upload)
            if asked.start is not None:
                received = await self._receive(upload, session, asked, request)
            if asked.last or (asked.start is None and asked.total == received):
                total = asked.total if asked.total is not None else received
                return await self._finish(upload, session, total, received, request)
            return Outcome(None, received)

    async def cancel(self, upload: str) -> None:
        async with self._only(upload):
            await self.session(upload)
            await asyncio.to_thread(self._store.drop_upload, upload)
        raise Cancelled("Client Closed Request")

    async def _again(self, session: Resource) -> Outcome:
        """A finished session asked again, after an answer that was lost."""
        version = await asyncio.to_thread(
            self._store.get, session["bucket"], session["name"], session["finished"]
        )
        return Outcome(version, version.size)

    async def _receive(self, upload: str, session: Resource, asked: Span, request: Request) -> int:
        file = await asyncio.to_thread(_open, self._path(upload))
        try:
            size = await asyncio.to_thread(file.tell)
            start = asked.start or 0
            if start > size:
                raise Invalid(
                    f"According to the Content-Range header, the upload offset is {start} byte(s), "
                    f"which exceeds already uploaded size of {size} byte(s)."
                )
            size = await _append(file, request, size - start, session["limits"][1])
            return size if asked.last else _whole_units(size)
        finally:
            await asyncio.to_thread(file.close)

    async def _finish(
        self, upload: str, session: Resource, total: int, received: int, request: Request
    ) -> Outcome:
        if total != received:
            raise Invalid(f"The upload has {received} bytes, but {total} were announced.")
        low, high = session["limits"]
        check_limits(received, low, high)
        digests = await asyncio.to_thread(_digests, self._path(upload))
        late = content.parse_goog_hash([request.headers.get("x-goog-hash", "")])
        for hashes in (session["hashes"], late):
            content.check(digests, crc32c=hashes.get("crc32c"), md5=hashes.get("md5"))
        version = await asyncio.to_thread(self._store.finish_upload, upload, digests)
        return Outcome(version, received)

    def _path(self, upload: str) -> Path:
        return self._store.blobs.partial / upload

    def _size(self, upload: str) -> int:
        path = self._path(upload)
        return _whole_units(path.stat().st_size) if path.exists() else 0

    @asynccontextmanager
    async def _only(self, upload: str) -> AsyncIterator[None]:
        """One request at a time for each session; the id must exist before a lock is kept."""
        await self.session(upload)
        self._users[upload] += 1
        lock = self._locks.setdefault(upload, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            self._users[upload] -= 1
            if not self._users[upload]:
                del self._users[upload], self._locks[upload]


def check_limits(size: int, low: int, high: int | None) -> None:
    """x-goog-content-length-range and the range of a policy: both ends included."""
    if high is not None and size > high:
        raise TooLarge(
            "Your proposed upload exceeds the maximum allowed size.",
            {"ProposedSize": str(size), "MaxSizeAllowed": str(high)},
        )
    if size < low:
        raise TooSmall(
            "Your proposed upload is smaller than the minimum allowed size.",
            {"ProposedSize": str(size), "MinSizeAllowed": str(low)},
        )


async def _append(file: BinaryIO, request: Request, skip: int, high: int | None) -> int:
    """Write the body behind what stands, without its first `skip` bytes; returns the new size."""
    size = await asyncio.to_thread(file.tell)
    async for piece in content.pieces(aiter(request.body)):
        fresh = piece[skip:] if skip else piece
        skip = max(0, skip - len(piece))
        size += len(fresh)
        check_limits(size, 0, high)
        await asyncio.to_thread(file.write, fresh)
    return size


def _whole_units(size: int) -> int:
    return size - size % UNIT


def _open(path: Path) -> BinaryIO:
    """The partial file, standing behind its last whole unit and cut there."""
    path.touch()
    file = path.open("r+b")
    file.truncate(file.seek(_whole_units(path.stat().st_size)))
    return file


def _digests(path: Path) -> content.Digests:
    digests = content.Digests()
    with path.open("rb") as file:
        while piece := file.read(content.PIECE):
            digests.update(piece)
    return digests
