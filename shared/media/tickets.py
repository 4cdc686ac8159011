"""Signed URLs for the bytes of a pending medium.

A plain PUT binds exactly the announced bytes, once. A resumable upload starts with a POST that
binds type, name and absence of an object; whether the real service holds a session to a length
range or a checksum is not documented, so none is signed, and the pipeline, which checks both again
for every upload, is what refuses. Source: "Initiate a resumable upload", XML API.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, TypeVar

from shared.errors import Conflict
from shared.media.api_model import RESUMABLE_FROM, SignedUpload, UploadRequest, UploadTicket
from shared.media.model import Medium, inbox_name
from shared.media.signing import PARALLEL, URLSigner

T = TypeVar("T")
R = TypeVar("R")


class Tickets:
    def __init__(self, signer: URLSigner, inbox_bucket: str, clock: Callable[[], datetime]) -> None:
        self._signer = signer
        self._inbox = inbox_bucket
        self._clock = clock

    def ticket(self, medium: Medium, wanted: UploadRequest, *, alone: bool = True) -> UploadTicket:
        """Raises Conflict when the medium waits for no bytes any more. One that is not `alone`
        is made by `each`, whose threads must not wait for each other."""
        if medium.state != "pending":
            raise Conflict("This upload has arrived already")
        if not wanted.resumable and wanted.size <= RESUMABLE_FROM:
            return UploadTicket(media_id=medium.id, upload=self.put(medium), resumable=None)
        each = self.each if alone else map
        put, start = each(lambda sign: sign(medium), (self.put, self.start))
        return UploadTicket(media_id=medium.id, upload=put, resumable=start)

    def put(self, medium: Medium) -> SignedUpload:
        fields = medium.fields
        headers = {
            "content-type": str(fields["contentType"]),
            "x-goog-content-length-range": f"{fields['size']},{fields['size']}",
            "x-goog-hash": f"crc32c={fields['crc32c']}",
            "x-goog-if-generation-match": "0",
            "x-goog-meta-traceparent": str(fields["traceparent"]),
        }
        return self._signed("PUT", medium, headers)

    def start(self, medium: Medium) -> SignedUpload:
        headers = {
            "content-type": str(medium.fields["contentType"]),
            "x-goog-if-generation-match": "0",
            "x-goog-meta-traceparent": str(medium.fields["traceparent"]),
            "x-goog-resumable": "start",
        }
        return self._signed("POST", medium, headers)

    def each(self, make: Callable[[T], R], given: Iterable[T]) -> list[R]:
        """At once, because each waits for a signature."""
        return list(self._threads.map(make, given))

    def _signed(
        self, method: Literal["PUT", "POST"], medium: Medium, headers: dict[str, str]
    ) -> SignedUpload:
        expires = medium.fields["uploadExpiresAt"]
        now = self._clock()
        left = expires - now
        if left < timedelta(seconds=1):
            raise Conflict("The time for this upload is over; start another one")
        name = inbox_name(medium.id)
        url = self._signer.url(method, self._inbox, name, now=now, expires_in=left, headers=headers)
        return SignedUpload(method=method, url=url, headers=headers, expires_at=expires)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=PARALLEL)
