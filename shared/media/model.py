"""What a medium is, as the API takes it, gives it, and the store keeps it.

States only move forward: pending < scanning < ready | rejected < trashed < deleted; `scanning`
means that the bytes arrived and are being looked at. One step leads back, and only a person takes
it: out of the trash. Outside the trash, what was trashed is answered like what never was; what
was deleted, everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field

from shared.errors import ProductError
from shared.events.model import Event
from shared.http import Model

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

MIB = 1024 * 1024
# The largest photographs of 50 megapixels take about 30 MB as JPEG; the file is held in memory
# beside its decoded form, so this is a twentieth of the function's memory.
MAX_UPLOAD = 50 * MIB
# Through the function instead of the bucket: the first Snaptask's limit, kept; the body is
# spooled to the function's memory-backed disk.
MAX_DIRECT_UPLOAD = 10 * MIB
# A person drops an album's page at once; below the 500 writes of one commit by far.
MOST_FILES = 50
# Bytes of such a request: the longest names of four-byte characters, and what is around them.
MAX_BATCH = MOST_FILES * 2048
# Eight megabytes take a minute at 1 Mbit/s: what nobody minds to send again.
RESUMABLE_FROM = 8 * 1000 * 1000
# What file systems take in one name.
_LONGEST_NAME = 255
# They make `gpj.exe` look like `exe.jpg` to a reader.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _file_name(value: str) -> str:
    name = unicodedata.normalize("NFC", value)
    if "/" in name or "\\" in name or name in (".", ".."):
        raise ValueError("must be a name, not a path")
    if any(unicodedata.category(char) in ("Cc", "Cs") or char in _BIDI for char in name):
        raise ValueError("must not hold control characters")
    if not name.strip():
        raise ValueError("must not be blank")
    return name


FileName = Annotated[str, Field(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_file_name)]
# Base64 of the four bytes, big-endian, as Cloud Storage writes it in x-goog-hash.
CRC32C = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{5}[AQgw]==$")]


class UploadRequest(Model):
    """What will be sent, to the byte: the signed URL takes nothing else. Above 8 MB, or when
    `resumable` asks for it, the ticket also tells how to start an upload that can be resumed."""

    file_name: FileName
    content_type: ContentType
    size: Annotated[int, Field(ge=1, le=MAX_UPLOAD)]
    crc32c: CRC32C
    resumable: bool = False


class UploadBatch(Model):
    files: Annotated[tuple[UploadRequest, ...], Field(min_length=1, max_length=MOST_FILES)]


class SignedUpload(Model):
    """Send the bytes with exactly this method and these headers, before `expiresAt`."""

    method: Literal["PUT", "POST"]
    url: str
    headers: dict[str, str]
    expires_at: datetime


class UploadTicket(Model):
    """Either way of the two leads to the medium. `resumable` is a POST without a body; its answer's
    Location takes the bytes for a week, in pieces of 256 KiB or a multiple of it."""

    media_id: str
    upload: SignedUpload
    resumable: SignedUpload | None


class Refusal(Model):
    """As the problem that the same request alone would have been answered with."""

    type: str
    title: str
    status: int
    detail: str | None

    @classmethod
    def of(cls, error: ProductError) -> Self:
        return cls(
            type=f"/problems/{error.slug}",
            title=error.title,
            status=error.status,
            detail=error.detail,
        )


class UploadOutcome(Model):
    ticket: UploadTicket | None
    problem: Refusal | None


class UploadOutcomes(Model):
    """One for each file, in the order asked for."""

    items: tuple[UploadOutcome, ...]


class MediaFilter(Model):
    """`type` is a kind of media or exactly one type; `task` shows what that task of yours
    carries. The trash is shown only when asked for."""

    state: VisibleState | Literal["trashed"] | None = None
    type: Kind | ContentType | None = None
    task: str | None = None
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class EraseQuery(Model):
    permanent: bool = False


class MediaIds(Model):
    media_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]


class BulkOutcome(Model):
    """`problem` is null when it was done."""

    problem: Refusal | None


class BulkOutcomes(Model):
    """One for each medium, in the order asked for."""

    items: tuple[BulkOutcome, ...]


class UsageView(Model):
    """Bytes. `used` and `count` are what is kept, the trash included, of which `inTrash` bytes;
    `reserved` is what announced uploads may still bring."""

    used: int
    reserved: int
    limit: int
    count: int
    in_trash: int


class TaskQuery(Model):
    """`task` reaches what a task carries that is shared with the caller."""

    task: str | None = None


class ThumbnailQuery(TaskQuery):
    size: Literal["320", "640", "1280"] = "320"


class RenditionView(Model):
    """Fits into a square of `size`; `url` is signed and lives five minutes."""

    size: int
    width: int
    height: int
    animated: bool
    url: str


class MediaView(Model):
    """`reason` says why a rejected one was; `thumbnailUrl` is signed and lives five minutes;
    `taskCount` says on how many tasks it is, to its owner, and 1 to who sees it through a task;
    `eraseAt`, when one in the trash goes for good, unless a task carries it.

    A ready document (PDF, text) has no dimensions and no preview. `thumbhash` is base64, `color`
    the dominant one as #rrggbb. `capturedAt` is what the camera's clock showed (ISO 8601), with an
    offset only when the camera told it.
    """

    id: str
    state: VisibleState | Literal["trashed"]
    reason: str | None
    file_name: str
    content_type: str
    size: int
    width: int | None
    height: int | None
    thumbhash: str | None
    color: str | None
    captured_at: str | None
    thumbnail_url: str | None
    task_count: int
    created_at: datetime
    updated_at: datetime
    erase_at: datetime | None


class MediaDetail(MediaView):
    renditions: tuple[RenditionView, ...]


class MediaPage(Model):
    items: tuple[MediaView, ...]
    next_cursor: str | None


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
    """The owner gave up what was never ready; what still arrives for it deletes itself."""

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
