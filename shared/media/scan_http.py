"""The scan service's one route: what Cloud Run lets in, over HTTP, in front of clamd.

Only Cloud Run's own check of the caller stands before it (IAM; infra/scanner.py): whoever gets
here is the thumbnails function, and may learn of the inbox what it knows already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Protocol

from shared.errors import NotFound, Unavailable
from shared.http import Routes
from shared.media.checksums import Checksum
from shared.media.objects import Gone, ObjectVersion, Pieces
from shared.media.scan import Seen
from shared.media.scan_client import Look, Verdict

# Bytes of a request: three names, escaped to six times their length, stay below.
_LARGEST = 16 * 1024


class Engine(Protocol):
    def look(self, pieces: Iterable[bytes]) -> Seen:
        """Raises errors.Unavailable, and whatever `pieces` raises."""
        ...


def routes(objects: Pieces, engine: Engine, buckets: Collection[str]) -> Routes:
    """Of `buckets` alone anything is read."""
    table = Routes(tag="scanner")

    @table.post("/", errors=(NotFound, Unavailable), max_body=_LARGEST)
    def scan(look: Look) -> Verdict:
        """Scan one generation of an object."""
        if look.bucket not in buckets:
            raise NotFound("Nothing of that bucket is read here.")
        source = ObjectVersion(look.bucket, look.object, int(look.generation))
        checksum = Checksum()
        try:
            seen = engine.look(_added(objects.pieces(source), checksum))
        except Gone:
            return Verdict(verdict="gone", engine="", generation=look.generation, crc32c=None)
        return Verdict(
            verdict=seen.verdict,
            engine=seen.engine,
            generation=look.generation,
            crc32c=None if seen.verdict == "scan-limit" else checksum.text,
        )

    return table


def _added(pieces: Iterator[bytes], checksum: Checksum) -> Iterator[bytes]:
    for piece in pieces:
        checksum.add(piece)
        yield piece
