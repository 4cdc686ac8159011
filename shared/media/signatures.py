"""The mirror of ClamAV's signatures: a bucket of the files that freshclam keeps in its folder.

ClamAV's own servers refuse whoever asks too often, and every starting instance would. So one job
asks them (services/scanner/mirror.py), and instances take what it left. Whoever may write to the
mirror can put older official files back, whose age is told of, and take no other detection away:
official files carry ClamAV's signature, which clamd checks in .cvd and .cld alike, those that are
needed must be there as such, and of all other kinds of file only those are taken that add
detections.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from shared.errors import Unavailable
from shared.media.checksums import Checksum
from shared.media.objects import Gone, ListedObject, ObjectVersion, Pieces
from shared.signals import signal

# Official ones, and signatures of one's own: by content, by hash, by logic (ClamAV's "Writing
# signatures"). None that allow or ignore something.
_NAME = re.compile(r"([A-Za-z0-9_-]{1,64})\.(?:cvd|cld|ndb|hdb|hsb|ldb)")
# A dozen stand in a mirror; one with more than this holds something else.
_MOST = 100
# Seconds: three days. ClamAV publishes once a day, so that two in a row may fail unnoticed.
OLD = 3 * 86_400
# Bytes of the head of an official file; its fields and their order are those of "ClamAV-VDB".
_HEAD = 512
_PUBLISHED = 8
_log = logging.getLogger(__name__)


class Mirrored(Pieces, Protocol):
    """What is asked of the bucket."""

    def listed(self, bucket: str, after: str, limit: int) -> list[ListedObject]: ...

    def replace(self, bucket: str, name: str, content: bytes) -> None:
        """Whatever stands under that name; safe to make twice."""
        ...

    def delete(self, version: ObjectVersion) -> None: ...


class Signatures:
    """`folder` is clamd's, or freshclam's, and nobody else's. Of `needed`, a name without an ending
    is that of an official file: one of one's own under it would stand for nothing."""

    def __init__(
        self,
        objects: Mirrored,
        bucket: str,
        folder: Path,
        needed: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._objects = objects
        self._bucket = bucket
        self._folder = folder
        self._needed = needed
        self._clock = clock
        self._known: dict[str, ListedObject] = {}

    def fetch(self) -> bool:
        """Make the folder what the mirror is; whether anything changed. All of it or nothing:
        raises Unavailable, also while what is needed is not there, and leaves the folder."""
        found = self._found()
        missing = [one for one in self._needed if not found.keys() & {one, *_forms(one)}]
        if missing:
            raise Unavailable(f"The mirror has no signatures of {', '.join(missing)}")
        changed = [name for name, one in found.items() if one != self._known.get(name)]
        for name in changed:
            self._download(found[name], self._part(name))
        for name in changed:
            self._part(name).replace(self._folder / name)
        gone = self._known.keys() - found.keys()
        for name in gone:
            (self._folder / name).unlink(missing_ok=True)
        self._known = found
        return bool(changed or gone)

    def publish(self) -> list[str]:
        """Make the mirror what became of the folder since `fetch`; the names that changed. New
        files first: in between, an instance finds one file more and never one less."""
        present = self._present()
        changed = [name for name, path in sorted(present.items()) if self._differs(name, path)]
        for name in changed:
            self._objects.replace(self._bucket, name, present[name].read_bytes())
        gone = sorted(self._known.keys() - present.keys())
        for name in gone:
            self._objects.delete(self._known[name].version)
        return changed + gone

    def tell_age(self) -> None:
        """A line when they are old; those of nobody knows when are as old as can be."""
        newest = max(map(published, self._present().values()), default=0.0)
        age = self._clock() - newest
        if age > OLD:
            signal("signatures.old", severity="WARNING", seconds=round(age))

    def _found(self) -> dict[str, ListedObject]:
        listed = self._objects.listed(self._bucket, "", _MOST)
        if len(listed) == _MOST:
            raise Unavailable("The mirror holds something else than signatures")
        strange = [one.version.name for one in listed if not _NAME.fullmatch(one.version.name)]
        if strange:
            _log.warning("no files of signatures, and not taken: %r", strange)
        return {one.version.name: one for one in listed if one.version.name not in strange}

    def _present(self) -> dict[str, Path]:
        return {path.name: path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)}

    def _part(self, name: str) -> Path:
        return self._folder / f"{name}.part"

    def _download(self, one: ListedObject, target: Path) -> None:
        checksum = Checksum()
        try:
            with target.open("wb") as file:
                for piece in self._objects.pieces(one.version):
                    checksum.add(piece)
                    file.write(piece)
        except Gone:
            raise Unavailable("The mirror changes just now") from None
        if checksum.text != one.crc32c:
            raise Unavailable(f"{one.version.name} came damaged")

    def _differs(self, name: str, path: Path) -> bool:
        known = self._known.get(name)
        if known is None or known.size != path.stat().st_size:
            return True
        checksum = Checksum()
        checksum.add(path.read_bytes())
        return checksum.text != known.crc32c


def _forms(name: str) -> tuple[str, str]:
    """As which an official file may stand there."""
    return f"{name}.cvd", f"{name}.cld"


def published(path: Path) -> float:
    """When an official file was made, in seconds since 1970; 0 for any other."""
    with path.open("rb") as file:
        fields = file.read(_HEAD).split(b":")
    if fields[0] != b"ClamAV-VDB" or len(fields) <= _PUBLISHED:
        return 0.0
    text = fields[_PUBLISHED].strip()
    return float(text) if text.isdigit() else 0.0
