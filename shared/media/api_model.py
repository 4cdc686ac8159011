"""What the API takes and gives of media.

Apart from `model.py`, because a function of events loads that one and answers nobody.
"""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from shared.errors import ProductError
from shared.http import Model
from shared.media.model import ContentType, Kind, VisibleState

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
    Location takes the bytes in pieces of 256 KiB or a multiple of it, until a day after
    `expiresAt`: then the medium is given up, and what arrives later is deleted."""

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
    `reserved` is what announced uploads may still bring. `files` are all media that are not
    deleted, also those that may come and those that were refused; `mostFiles` is their limit."""

    used: int
    reserved: int
    limit: int
    count: int
    in_trash: int
    files: int
    most_files: int


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
    `eraseAt`, when one that was refused goes for good, or one in the trash that no task carries.

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
