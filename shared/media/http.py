"""The routes of media."""

from __future__ import annotations

from typing import Annotated, Any

from shared.errors import Conflict, NotFound, Unavailable
from shared.http import Header, Principal, Reply, Routes, UploadedFile
from shared.media.gallery import Gallery
from shared.media.model import (
    MAX_DIRECT_UPLOAD,
    MIB,
    MediaDetail,
    MediaFilter,
    MediaPage,
    TaskQuery,
    ThumbnailQuery,
    UploadRequest,
    UploadTicket,
)
from shared.media.uploads import Uploads

IdempotencyKey = Annotated[str | None, Header("Idempotency-Key")]
# A link leaves the house: it is good for minutes, whatever becomes of the session.
_LINK = {"status": 302, "live": True, "errors": (NotFound, Conflict, Unavailable)}
Traceparent = Annotated[str | None, Header("traceparent")]
# The multipart frame around the file takes a few hundred bytes. The budget is below the function's
# timeout (60 s), and above what sending the file on twice may take.
_FORWARDED: Any = {"max_body": MAX_DIRECT_UPLOAD + MIB, "budget": 50.0}


def routes(gallery: Gallery, uploads: Uploads) -> Routes:
    routes = Routes(tag="media")

    @routes.post("/uploads", status=201, errors=(Conflict, Unavailable))
    def start_upload(
        body: UploadRequest,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
        traceparent: Traceparent = None,
    ) -> Reply[UploadTicket]:
        """Announce a picture and get a signed URL for its bytes."""
        ticket = uploads.start(caller.user, body, idempotency_key, traceparent)
        return Reply(ticket, headers={"Location": f"/api/media/{ticket.media_id}"})

    @routes.delete("/uploads/<media_id>", errors=(NotFound, Conflict))
    def cancel_upload(media_id: str, caller: Principal) -> None:
        """Give up an upload that has not arrived."""
        gallery.cancel(caller.user, media_id)

    @routes.post("/upload", status=201, **_FORWARDED, errors=(Conflict, Unavailable))
    def upload(
        file: UploadedFile,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
        traceparent: Traceparent = None,
    ) -> Reply[MediaDetail]:
        """Upload a picture of up to 10 MB through the function."""
        view = uploads.receive(caller.user, file, idempotency_key, traceparent)
        return Reply(view, headers={"Location": f"/api/media/{view.id}"})

    @routes.get("/", errors=(Unavailable,))
    def find(query: MediaFilter, caller: Principal) -> MediaPage:
        """List media, the newest first."""
        return gallery.find(caller.user, query)

    @routes.get("/<media_id>", errors=(NotFound, Unavailable))
    def read(media_id: str, query: TaskQuery, caller: Principal) -> MediaDetail:
        """Read what is known of a medium."""
        return gallery.read(caller.user, media_id, query.task)

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

    @routes.delete("/<media_id>", errors=(NotFound,))
    def delete(media_id: str, caller: Principal) -> None:
        """Put a medium into the trash."""
        gallery.delete(caller.user, media_id)

    return routes
