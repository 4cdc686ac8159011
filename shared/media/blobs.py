"""Bytes that an owner has once however often he uploads them: found by their SHA-256, counted by
the media that stand on them.

The key holds the owner, so nobody learns from an answer or its time what somebody else has. The
count moves only in the commit that makes a medium ready or erases one, guarded by that medium's
version. Joining adds without a version, so that any number may join at once; leaving names the
version it read, so that exactly one is the last, and a join after the last finds nothing to join.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from shared.documents import Create, Delete, Document, Update, Write
from shared.ids import derived_id

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Blob:
    """`stored` is the name of the original; `facts` are the fields that whoever joins takes over,
    as the check of the first one found them."""

    path: str
    stored: str
    references: int
    facts: Mapping[str, Any]
    version: Any

    @classmethod
    def from_document(cls, document: Document) -> Self:
        data = document.data
        return cls(
            document.path,
            str(data["stored"]),
            int(data["references"]),
            data["facts"],
            document.version,
        )

    def joined(self) -> Write:
        return Update(self.path, increment={"references": 1})

    def known_as(self, facts: Mapping[str, Any]) -> Write:
        return Update(self.path, {"facts": {**self.facts, **facts}}, version=self.version)

    def left(self) -> Write:
        if self.references > 1:
            return Update(self.path, {"references": self.references - 1}, version=self.version)
        return Delete(self.path, version=self.version)


def blob_path(owner: str, sha256: str) -> str:
    return f"blobs/{derived_id('blob', owner, sha256)}"


def first(
    path: str,
    owner: str,
    stored: str,
    facts: Mapping[str, Any],
    created_at: datetime,
) -> Write:
    """Raises, when committed, AlreadyExists for the second of two first ones."""
    data = {
        "owner": owner,
        "stored": stored,
        "references": 1,
        "facts": facts,
        "createdAt": created_at,
        "schemaVersion": SCHEMA_VERSION,
    }
    return Create(path, data)
