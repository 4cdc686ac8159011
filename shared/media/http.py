"""The routes of media."""

from __future__ import annotations

import zlib
from typing import Annotated, Any

from shared.errors import Conflict, NotFound, OverQuota, Unavailable
from shared.http import Header, Principal, Reply, Routes, UploadedFile
from shared.media.api_model import (
    MAX_BATCH,
    MAX_DIRECT_UPLOAD,
    MIB,
    BulkOutcomes,
    EraseQuery,
    MediaDetail,
    MediaFilter,
    MediaIds,
    MediaPage,
    TaskQuery,
    ThumbnailQuery,
    UploadBatch,
    UploadOutcomes,
    UploadRequest,
    UploadTicket,
    UsageView,
)
from shared.media.gallery import Gallery
from shared.media.model import Medium
from shared.media.trash import Trash
from shared.media.uploads import Uploads
from shared.media.waiting import LONGEST, Waiting

IdempotencyKey = Annotated[str | None, Header("Idempotency-Key")]
# A link leaves the house: it is good for minutes, whatever becomes of the session.
_LINK = {"status": 302, "live": True, "errors": (NotFound, Conflict, Unavailable)}
IfNoneMatch = Annotated[str | None, Header("If-None-Match")]
Prefer = Annotated[str | None, Header("Prefer")]
Traceparent = Annotated[str | None, Header("traceparent")]
# The multipart frame around the file takes a few hundred bytes. The budget is below the function's
# timeout (60 s), and above what sending the file on twice may take.
_FORWARDED: Any = {"max_body": MAX_DIRECT_UPLOAD + MIB, "budget": 50.0}


def routes(gallery: Gallery, uploads: Uploads, trash: Trash, waiting: Waiting) -> Routes:
    routes = Routes(tag="media")
    _upload_routes(routes, gallery, uploads)
    _read_routes(routes, gallery, waiting)
    _trash_routes(routes, gallery, trash)
    return routes


def _upload_routes(routes: Routes, gallery: Gallery, uploads: Uploads) -> None:
    @routes.post("/uploads", status=201, errors=(Conflict, OverQuota, Unavailable))
    def start_upload(
        body: UploadRequest,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
        traceparent: Traceparent = None,
    ) -> Reply[UploadTicket]:
        """Announce a picture and get a signed URL for its bytes."""
        ticket = uploads.start(caller.user, body, idempotency_key, traceparent)
        return Reply(ticket, headers={"Location": f"/api/media/{ticket.media_id}"})

    @routes.post("/uploads/batch", max_body=MAX_BATCH, errors=(Unavailable,))
    def start_uploads(
        body: UploadBatch,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
        traceparent: Traceparent = None,
    ) -> UploadOutcomes:
        """Announce up to 50 files at once, each with an outcome of its own."""
        return uploads.start_all(caller.user, body, idempotency_key, traceparent)

    @routes.delete("/uploads/<media_id>", errors=(NotFound, Conflict))
    def cancel_upload(media_id: str, caller: Principal) -> None:
        """Give up an upload that has not arrived."""
        gallery.cancel(caller.user, media_id)

    @routes.post("/upload", status=201, **_FORWARDED, errors=(Conflict, OverQuota, Unavailable))
    def upload(
        file: UploadedFile,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
        traceparent: Traceparent = None,
    ) -> Reply[MediaDetail]:
        """Upload a picture of up to 10 MB through the function."""
        view = uploads.receive(caller.user, file, idempotency_key, traceparent)
        return Reply(view, headers={"Location": f"/api/media/{view.id}"})

    @routes.get("/usage", errors=(Unavailable,))
    def usage(caller: Principal) -> UsageView:
        """Read how much room is taken."""
        return uploads.usage(caller.user)


def _read_routes(routes: Routes, gallery: Gallery, waiting: Waiting) -> None:
    @routes.get("/", errors=(NotFound, Unavailable))
    def find(query: MediaFilter, caller: Principal) -> MediaPage:
        """List media, the newest first."""
        return gallery.find(caller.user, query)

    # The wait, and then the two calls of an answer.
    @routes.get("/<media_id>", budget=LONGEST + 5.0, errors=(NotFound, Unavailable))
    def read(
        media_id: str,
        query: TaskQuery,
        caller: Principal,
        prefer: Prefer = None,
        if_none_match: IfNoneMatch = None,
    ) -> Reply[MediaDetail]:
        """Read what is known of a medium.

        With `Prefer: wait=N` (at most 20 seconds) the answer is held while the medium is on its way
        to ready, or until it is no longer the state of `If-None-Match`. `Preference-Applied` says
        that it was; without it, come back after a moment.
        """
        medium, waited = waiting.look(
            lambda: gallery.seen(caller.user, media_id, query.task), prefer, if_none_match
        )
        headers = {} if waited is None else {"Preference-Applied": f"wait={waited}"}
        detail = gallery.detail(medium, caller.user)
        return Reply(detail, etag=_etag(medium, detail), headers=headers)

    @routes.get("/<media_id>/download", **_LINK)
    def download(media_id: str, query: TaskQuery, caller: Principal) -> Reply[None]:
        """Go to a signed URL of the original."""
        url = gallery.download_url(caller.user, media_id, query.task)
        return Reply(None, headers={"Location": url})

    @routes.get("/<media_id>/thumbnail", **_LINK)
    def thumbnail(media_id: str, query: ThumbnailQuery, caller: Principal) -> Reply[None]:
        """Go to a signed URL of a rendition."""
        url = gallery.thumbnail_url(caller.user, media_id, int(query.size), query.task)
        return Reply(None, headers={"Location": url})


def _trash_routes(routes: Routes, gallery: Gallery, trash: Trash) -> None:
    @routes.delete("/<media_id>", errors=(NotFound,))
    def delete(media_id: str, query: EraseQuery, caller: Principal) -> None:
        """Put a medium into the trash, or erase it for good.

        In the trash it can be restored for 30 days. With `permanent=true` it is erased, from the
        trash or from where it is; from then on nobody can read it or have it back.
        """
        if query.permanent:
            trash.erase(caller.user, media_id)
        else:
            trash.put(caller.user, media_id)

    # The requests below may be sent again at will, with or without the key: the same again finds
    # done what it asks for.
    @routes.post("/<media_id>/restore", errors=(NotFound, Unavailable))
    def restore(
        media_id: str, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> MediaDetail:
        """Take a medium out of the trash."""
        trash.restore(caller.user, media_id)
        return gallery.read(caller.user, media_id)

    @routes.post("/bulk-trash", errors=(Unavailable,))
    def trash_all(
        body: MediaIds, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> BulkOutcomes:
        """Put up to 100 media into the trash, each with an outcome of its own."""
        return trash.put_all(caller.user, body.media_ids)

    @routes.post("/bulk-restore", errors=(Unavailable,))
    def restore_all(
        body: MediaIds, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> BulkOutcomes:
        """Take up to 100 media out of the trash, each with an outcome of its own."""
        return trash.restore_all(caller.user, body.media_ids)


def _etag(medium: Medium, detail: MediaDetail) -> str:
    """Of the medium's state, and of its signed URLs: who has old ones must not be told that they
    are as good as new. Weak, because whoever signs elsewhere gets others for the same state."""
    urls = " ".join(rendition.url for rendition in detail.renditions).encode()
    return f'W/"{medium.etag}-{zlib.crc32(urls):08x}-{detail.task_count}"'
