"""What a medium is, as the store keeps it and as its events tell of it.

States only move forward: pending < scanning < ready | rejected < trashed < deleted; `scanning`
means that the bytes arrived and are being looked at. One step leads back, and only a person takes
it: out of the trash. Outside the trash, what was trashed is answered like what never was; what
was deleted, everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from shared.events.model import Event

State = Literal["pending", "scanning", "ready", "rejected", "trashed", "deleted"]
VisibleState = Literal["pending", "scanning", "ready", "rejected"]
VISIBLE: tuple[State, ...] = get_args(VisibleState)
# On the way to ready: nobody can read them, their owner can give them up.
COMING: tuple[State, ...] = ("pending", "scanning")
# Documents are kept as they are and have no renditions. "image/heif" is what some systems call
# HEIC; what was detected replaces what was declared.
ContentType = Literal[
    "image/jpeg",
    "image/png",
    "image/gif",
    "image/webp",
    "image/heic",
    "image/heif",
    "image/avif",
    "image/tiff",
    "application/pdf",
    "text/plain",
]

Kind = Literal["image", "document"]


@dataclass(frozen=True, slots=True)
class Medium:
    """A stored medium; `version` is the store's, for a write that must meet this very state."""

    id: str
    owner: str
    state: State
    fields: Mapping[str, Any]
    version: Any

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        return cls(identifier, str(data["owner"]), data["state"], data, version)

    @property
    def etag(self) -> str:
        """The id of the commit that made this state."""
        return str(self.fields.get("commitId", ""))

    @property
    def inbox_name(self) -> str:
        return inbox_name(self.id)

    @property
    def media_name(self) -> str:
        """Where the original stands: under this medium's own name, or under that of an earlier
        one of the same owner with the same bytes."""
        return str(self.fields.get("stored") or media_name(self.id, self.fields["generation"]))

    @property
    def has_renditions(self) -> bool:
        return bool(self.fields.get("renditions"))

    def rendition_name(self, size: int) -> str:
        return rendition_name(self.media_name, int(self.fields["recipe"]), size)


def medium_kind(content_type: str) -> Kind:
    return "image" if content_type.startswith("image/") else "document"


# Object names hold only our own ids and numbers: what a person called the file is not in a path.


def inbox_name(media_id: str) -> str:
    return f"uploads/{media_id}"


def media_name(media_id: str, generation: int | str) -> str:
    return f"{media_id}/{generation}"


ORIGINAL_NAME = re.compile(r"[a-z2-7]{20}/[0-9]+")


def rendition_name(original: str, recipe: int, size: int) -> str:
    """Below the name of the original, so that both are found by it. The recipe is in it because
    another one makes other bytes, and what stands under a name never changes."""
    return f"{original}/{recipe}/{size}.webp"


@dataclass(frozen=True, slots=True)
class Buckets:
    inbox: str
    media: str
    renditions: str


class MediaAnnounced(Event):
    """The bytes of the medium may come, and have their room in the owner's quota."""

    type: ClassVar[str] = "snaptask.media.v1.announced"
    media_id: str


class MediaArrived(Event):
    """The medium's bytes stand in the inbox, as that generation, and are being looked at."""

    type: ClassVar[str] = "snaptask.media.v1.arrived"
    media_id: str
    generation: str


class MediaReady(Event):
    """The medium was scanned, checked, promoted and has all its renditions."""

    type: ClassVar[str] = "snaptask.media.v1.ready"
    media_id: str
    generation: str


class MediaRejected(Event):
    """The medium will never be readable; its bytes are gone or going."""

    type: ClassVar[str] = "snaptask.media.v1.rejected"
    media_id: str
    reason: str


class MediaRerendered(Event):
    """The ready medium has renditions of the present recipe; those before are gone or going."""

    type: ClassVar[str] = "snaptask.media.v1.rerendered"
    media_id: str


class MediaTrashed(Event):
    """The owner put a ready medium into the trash; nobody can load it."""

    type: ClassVar[str] = "snaptask.media.v1.trashed"
    media_id: str


class MediaRestored(Event):
    """The owner took the medium out of the trash; it is as it was."""

    type: ClassVar[str] = "snaptask.media.v1.restored"
    media_id: str


class MediaDeleted(Event):
    """What was never ready is given up, by its owner or after its days; what still arrives for it
    deletes itself."""

    type: ClassVar[str] = "snaptask.media.v1.deleted"
    media_id: str


class MediaErased(Event):
    """The medium is gone for good: nobody can have it back, and its bytes are deleted next
    unless another medium of the owner has the same."""

    type: ClassVar[str] = "snaptask.media.v1.erased"
    media_id: str


class ReservationReleased(Event):
    """The URL of a cancelled upload is dead, so its room in the quota is free again."""

    type: ClassVar[str] = "snaptask.media.v1.reservation-released"
    media_id: str


class BytesErased(Event):
    """Every generation of the erased medium's original and renditions is deleted."""

    type: ClassVar[str] = "snaptask.media.v1.bytes-erased"
    media_id: str
