"""How bytes come in: by signed URLs straight to the inbox bucket, or through the function.

Both ways write the pending medium first and PUT against the same kind of URL, so the bucket
enforces the same bounds on both and the same event makes the medium ready.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Protocol

import urllib3
from pydantic import ValidationError

from shared.errors import (
    Conflict,
    Invalid,
    OverQuota,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from shared.http import UploadedFile
from shared.ids import derived_id, new_id
from shared.media.api_model import (
    MAX_DIRECT_UPLOAD,
    MediaDetail,
    Refusal,
    SignedUpload,
    UploadBatch,
    UploadOutcome,
    UploadOutcomes,
    UploadRequest,
    UploadTicket,
    UsageView,
)
from shared.media.checksums import crc32c_of
from shared.media.documents import HEAD
from shared.media.gallery import Gallery
from shared.media.model import VISIBLE, Medium, medium_kind
from shared.media.quota import FULL, Quota
from shared.media.signing import URLSigner
from shared.media.sniff import kind_of
from shared.media.tickets import Tickets

# A 50 MB photograph takes seven minutes at 1 Mbit/s; twice that.
UPLOAD_EXPIRY = timedelta(minutes=15)
_CHUNK = 256 * 1024
_TAKEN = "Taken are JPEG, PNG, GIF, WebP, HEIC, AVIF and TIFF pictures, PDF and plain text"
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_log = logging.getLogger(__name__)


class Deliver(Protocol):
    """Sends `body` as `upload` says. Returns when the object stands; raises Unavailable."""

    def __call__(self, upload: SignedUpload, body: BinaryIO) -> None: ...


class Uploads:
    def __init__(
        self,
        gallery: Gallery,
        quota: Quota,
        signer: URLSigner,
        *,
        inbox_bucket: str,
        deliver: Deliver,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gallery = gallery
        self._quota = quota
        self._tickets = Tickets(signer, inbox_bucket, clock)
        self._deliver = deliver
        self._clock = clock

    def start(
        self, owner: str, wanted: UploadRequest, key: str | None, traceparent: str | None
    ) -> UploadTicket:
        """With a key, the same request again gives the same medium, signed again; another
        request under the same key raises Conflict. Raises OverQuota."""
        draft = self._draft(owner, wanted, traceparent)
        if key:
            media_id = derived_id("media", owner, key)
            taken = self._quota.take_exactly({media_id: draft})
            return self._tickets.ticket(_same(taken.get(media_id), draft), wanted)
        # Signed before anything is reserved: a signature that nobody gets costs nothing.
        planned = Medium.from_document(new_id(), {**draft, "state": "pending"}, None)
        ticket = self._tickets.ticket(planned, wanted)
        medium = self._quota.take(planned.id, draft)
        return ticket if medium.id == planned.id else self._tickets.ticket(medium, wanted)

    def start_all(
        self, owner: str, batch: UploadBatch, key: str | None, traceparent: str | None
    ) -> UploadOutcomes:
        """Each file by itself: those for which there is room, in their order, are taken."""
        drafts = {
            derived_id("media", owner, key, str(number)) if key else new_id(): self._draft(
                owner, wanted, traceparent
            )
            for number, wanted in enumerate(batch.files)
        }
        taken = self._quota.take_exactly(drafts)

        def outcome(asked: tuple[str, UploadRequest]) -> UploadOutcome:
            media_id, wanted = asked
            try:
                medium = _same(taken.get(media_id), drafts[media_id])
                ticket = self._tickets.ticket(medium, wanted, alone=False)
                return UploadOutcome(ticket=ticket, problem=None)
            except (Conflict, OverQuota, Unavailable) as error:
                return UploadOutcome(ticket=None, problem=Refusal.of(error))

        outcomes = self._tickets.each(outcome, zip(drafts, batch.files, strict=True))
        return UploadOutcomes(items=tuple(outcomes))

    def usage(self, owner: str) -> UsageView:
        return self._quota.view(owner)

    def receive(
        self, owner: str, file: UploadedFile, key: str | None, traceparent: str | None
    ) -> MediaDetail:
        """Take a file through the function. It is answered when the bucket has it; the checks
        follow by the event, so its state is pending."""
        wanted = _described(file)
        draft = self._draft(owner, wanted, traceparent)
        if key:
            media_id = derived_id("media", owner, key)
            medium = _same(self._quota.take_exactly({media_id: draft}).get(media_id), draft)
        else:
            medium = self._quota.take(new_id(), draft)
        if medium.state == "pending":
            file.stream.seek(0)
            try:
                self._deliver(self._tickets.put(medium), file.stream)
            except Unavailable:
                if key or self._is_given_up(owner, medium.id):
                    raise
        return self._gallery.read(owner, medium.id)

    def _is_given_up(self, owner: str, media_id: str) -> bool:
        """Without a key nobody can name the medium again, so it is given up; should the bytes
        still arrive, their event deletes them. False when they have arrived and been settled:
        only the bucket's answer was lost."""
        try:
            self._gallery.cancel(owner, media_id)
        except Conflict:
            return False
        return True

    def _draft(self, owner: str, wanted: UploadRequest, traceparent: str | None) -> dict[str, Any]:
        now = self._clock()
        return {
            "owner": owner,
            "fileName": wanted.file_name,
            "contentType": wanted.content_type,
            "kind": medium_kind(wanted.content_type),
            "size": wanted.size,
            "crc32c": wanted.crc32c,
            "traceparent": _traceparent(traceparent),
            "uploadExpiresAt": now + UPLOAD_EXPIRY,
            "createdAt": now,
            "updatedAt": now,
        }


def _same(medium: Medium | None, draft: Mapping[str, Any]) -> Medium:
    """The medium that stands for the request. Raises OverQuota when there is none, Conflict when
    it is another request's, or was given up."""
    if medium is None:
        raise OverQuota(FULL)
    asked = ("fileName", "contentType", "size", "crc32c")
    if medium.state not in VISIBLE or any(medium.fields[name] != draft[name] for name in asked):
        raise Conflict("This Idempotency-Key was used for another request")
    return medium


class HTTPDelivery:
    """PUTs over one pool of kept connections."""

    def __init__(self) -> None:
        # Seconds. Inside one region 10 MB take well below a second.
        timeout = urllib3.Timeout(connect=2.0, read=20.0)
        self._pool = urllib3.PoolManager(maxsize=8, timeout=timeout, retries=False)

    def __call__(self, upload: SignedUpload, body: BinaryIO) -> None:
        size = body.seek(0, 2)
        headers = {**upload.headers, "content-length": str(size)}
        for attempt in range(2):
            body.seek(0)
            try:
                answer = self._pool.request("PUT", upload.url, body=body, headers=headers)
            except urllib3.exceptions.HTTPError:
                continue
            # The object stands already: an earlier answer was lost, the bytes were not.
            if answer.status in (200, 412):
                return
            _log.warning("upload: attempt %d was answered with %d", attempt, answer.status)
            if answer.status < 500 and answer.status != 429:
                break
        raise Unavailable("Storage did not take the file")


def _described(file: UploadedFile) -> UploadRequest:
    """What the client would have announced; the type is told by the content, whatever the part
    says. Raises TooLarge, UnsupportedMediaType, Invalid."""
    if file.size > MAX_DIRECT_UPLOAD:
        raise TooLarge(f"This route takes up to {MAX_DIRECT_UPLOAD} bytes; use a signed upload")
    kind = kind_of(file.stream.read(HEAD))
    file.stream.seek(0)
    try:
        return UploadRequest.model_validate(
            {
                "file_name": file.filename,
                "content_type": kind,
                "size": file.size,
                "crc32c": crc32c_of(_chunks(file.stream)),
            }
        )
    except ValidationError as error:
        fields = {str(one["loc"][0]) for one in error.errors(include_url=False)}
        if fields & {"content_type", "contentType"}:
            raise UnsupportedMediaType(_TAKEN) from None
        named = "file name is not valid" if fields & {"file_name", "fileName"} else "file is empty"
        raise Invalid(errors=[{"pointer": "/file", "message": f"The {named}"}]) from None


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk


def _traceparent(given: str | None) -> str:
    """The caller's trace (W3C Trace Context), or a new one: a malformed one is ignored."""
    if given is not None and _TRACEPARENT.fullmatch(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
