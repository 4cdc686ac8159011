"""What the pipeline asks of Cloud Storage, and a form of it in memory for fast tests.

Every call may be made twice: writing what is already there and deleting what is gone are done.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from shared.errors import Unavailable
from shared.media.checksums import crc32c_of


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """One generation of one object: always the same bytes."""

    bucket: str
    name: str
    generation: int


@dataclass(frozen=True, slots=True)
class ListedObject:
    """A live object as a listing tells of it."""

    version: ObjectVersion
    size: int
    content_type: str
    crc32c: str
    created_at: datetime


class Gone(Exception):
    """That generation is not there, or not any longer."""


class Pieces(Protocol):
    """Reads what may be too large to hold."""

    def pieces(self, source: ObjectVersion) -> Iterator[bytes]:
        """The bytes of exactly that generation, piece by piece and unchecked: whoever needs to
        know that they are right adds up their checksum. Raises Gone, also in between, and
        errors.Unavailable."""
        ...


class ObjectStore(Protocol):
    """Every call raises errors.Unavailable when Cloud Storage does not answer in time."""

    def read(self, source: ObjectVersion) -> bytes | None:
        """The bytes of exactly that generation; None when it is gone."""
        ...

    def load(self, bucket: str, name: str) -> bytes | None:
        """The bytes under a name of ours, which never change; None when there are none."""
        ...

    def copy(self, source: ObjectVersion, bucket: str, name: str, content_type: str) -> bool:
        """Server-side copy to a name that nothing else writes; False when the source is gone, and
        only then: it is what lets the source's event end.
        When the copy stands already and the source is gone, either answer is right."""
        ...

    def write(self, bucket: str, name: str, content: bytes, content_type: str) -> None:
        """Write to a name that always gets the same bytes; an object that stands there stays."""
        ...

    def delete(self, version: ObjectVersion) -> None:
        """Delete exactly that generation."""
        ...

    def discard(self, bucket: str, name: str) -> None:
        """Delete whatever stands under a name of ours."""
        ...

    def erase(self, bucket: str, name: str) -> None:
        """Delete every generation of `name` and of all below `name/`, noncurrent ones too."""
        ...

    def stands(self, bucket: str, name: str) -> bool:
        """Whether there is a live object of that name."""
        ...

    def listed(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        """Live objects whose names come after that one, in the order of names."""
        ...


class MemoryObjects:
    """`put` stands for a client's upload; `objects` shows what is live. Buckets in `lost` take
    nothing, as if they had been deleted."""

    def __init__(self) -> None:
        self.lost: set[str] = set()
        self._lock = threading.Lock()
        self._last = 1_700_000_000_000_000
        self.objects: dict[tuple[str, str], tuple[int, bytes, str]] = {}

    def put(self, bucket: str, name: str, content: bytes, content_type: str) -> int:
        with self._lock:
            self._last += 1
            self.objects[bucket, name] = (self._last, content, content_type)
            return self._last

    def read(self, source: ObjectVersion) -> bytes | None:
        found = self.objects.get((source.bucket, source.name))
        return found[1] if found and found[0] == source.generation else None

    def pieces(self, source: ObjectVersion) -> Iterator[bytes]:
        content = self.read(source)
        if content is None:
            raise Gone
        yield content

    def load(self, bucket: str, name: str) -> bytes | None:
        found = self.objects.get((bucket, name))
        return found[1] if found else None

    def copy(self, source: ObjectVersion, bucket: str, name: str, content_type: str) -> bool:
        if (bucket, name) in self.objects:
            return True
        content = self.read(source)
        if content is None:
            return False
        if bucket in self.lost:
            raise Unavailable("A bucket is missing")
        self.put(bucket, name, content, content_type)
        return True

    def write(self, bucket: str, name: str, content: bytes, content_type: str) -> None:
        if bucket in self.lost:
            raise Unavailable("A bucket is missing")
        if (bucket, name) not in self.objects:
            self.put(bucket, name, content, content_type)

    def replace(self, bucket: str, name: str, content: bytes) -> None:
        self.put(bucket, name, content, "application/octet-stream")

    def delete(self, version: ObjectVersion) -> None:
        with self._lock:
            found = self.objects.get((version.bucket, version.name))
            if found and found[0] == version.generation:
                del self.objects[version.bucket, version.name]

    def discard(self, bucket: str, name: str) -> None:
        self.objects.pop((bucket, name), None)

    def erase(self, bucket: str, name: str) -> None:
        for one, found in list(self.objects):
            if one == bucket and (found == name or found.startswith(f"{name}/")):
                self.objects.pop((one, found), None)

    def stands(self, bucket: str, name: str) -> bool:
        return (bucket, name) in self.objects

    def listed(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        found = sorted(
            (name, *kept)
            for (one, name), kept in self.objects.items()
            if one == bucket and name > after
        )
        return [
            ListedObject(
                ObjectVersion(bucket, name, generation),
                len(content),
                content_type,
                crc32c_of([content]),
                # As Cloud Storage counts them: microseconds.
                datetime.fromtimestamp(generation / 1e6, UTC),
            )
            for name, generation, content, content_type in found[:limit]
        ]
