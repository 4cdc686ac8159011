"""From a finalized upload to a ready medium, or a rejected one: the heart of Snaptask.

Deliveries come at least once, in any order, at the same time. What makes that harmless:
- the event's generation is read, checked and promoted; a later object under the same name is
  another generation and never takes this one's place;
- names in the target buckets hold the generation and are written only when nothing stands there;
- one commit, guarded by the medium's version, makes the medium ready and stores the event; who
  loses it finds the medium settled;
- only after it the inbox object goes. A crash anywhere before leaves the upload for the next
  delivery, a crash after it leaves an object whose next delivery deletes it;
- a delivery that finds the medium settled otherwise takes back what an earlier one, that did not
  get to its commit, may have promoted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

from shared.events.model import Event, FinalizedObject
from shared.events.outbox import Outbox
from shared.ids import derived_id
from shared.media.checksums import crc32c_of
from shared.media.model import (
    COMING,
    Buckets,
    MediaReady,
    MediaRejected,
    Medium,
    State,
    media_name,
    rendition_name,
)
from shared.media.objects import ObjectStore, ObjectVersion
from shared.media.renditions import SIZES, Rejected, Rendered, render
from shared.media.store import MediaStore, PreconditionFailed

_INBOX_NAME = re.compile(r"uploads/([a-z2-7]{20})")
_log = logging.getLogger(__name__)


class Pipeline:
    def __init__(
        self,
        store: MediaStore,
        objects: ObjectStore,
        outbox: Outbox,
        buckets: Buckets,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._objects = objects
        self._outbox = outbox
        self._buckets = buckets
        self._clock = clock

    def __call__(self, event: FinalizedObject) -> None:
        """Returns when the event has nothing left to do; raises Unavailable to see it again."""
        if event.bucket != self._buckets.inbox:
            _log.warning("an event of another bucket: %s", event.bucket)
            return
        upload = ObjectVersion(event.bucket, event.name, event.generation)
        match = _INBOX_NAME.fullmatch(event.name)
        medium = self._store.get(match[1]) if match else None
        if medium is not None and medium.state in COMING:
            self._settle(medium, upload, event.size)
        elif medium is not None:
            self._withdraw(medium, upload)
        self._objects.delete(upload)

    def _settle(self, medium: Medium, upload: ObjectVersion, size: int) -> None:
        try:
            # Before the read: what was announced is bounded, what was sent need not be.
            if size != medium.fields["size"]:
                raise Rejected("size-mismatch")
            content = self._objects.read(upload)
            if content is None:
                # Another delivery was faster, or the upload was replaced; its own event comes.
                return
            rendered = _checked(medium, content)
        except Rejected as rejection:
            self._reject(medium, upload, rejection.reason)
            return
        if not self._promote(medium, upload, rendered):
            return
        fields = {
            "generation": str(upload.generation),
            "width": rendered.width,
            "height": rendered.height,
            "renditions": [
                {"size": r.size, "width": r.width, "height": r.height, "bytes": len(r.content)}
                for r in rendered.renditions
            ],
        }
        ready = MediaReady(
            id=derived_id("media.ready", medium.id, str(upload.generation)),
            occurred_at=self._clock(),
            media_id=medium.id,
            owner=medium.owner,
            generation=str(upload.generation),
        )
        self._change(medium, upload, "ready", fields, ready)

    def _promote(self, medium: Medium, upload: ObjectVersion, rendered: Rendered) -> bool:
        name = media_name(medium.id, upload.generation)
        kind = rendered.picture.type
        if not self._objects.copy(upload, self._buckets.media, name, kind):
            return False
        for rendition in rendered.renditions:
            name = rendition_name(medium.id, upload.generation, rendition.size)
            self._objects.write(
                self._buckets.renditions, name, rendition.content, rendition.content_type
            )
        return True

    def _reject(self, medium: Medium, upload: ObjectVersion, reason: str) -> None:
        rejected = MediaRejected(
            id=derived_id("media.rejected", medium.id, str(upload.generation)),
            occurred_at=self._clock(),
            media_id=medium.id,
            owner=medium.owner,
            reason=reason,
        )
        self._change(medium, upload, "rejected", {"reason": reason}, rejected)

    def _change(
        self,
        medium: Medium,
        upload: ObjectVersion,
        state: State,
        fields: dict[str, Any],
        event: Event,
    ) -> None:
        try:
            self._store.change(medium, state, fields, event)
        except PreconditionFailed:
            # Settled by another delivery, or given up by its owner meanwhile.
            present = self._store.get(medium.id)
            if present is not None:
                self._withdraw(present, upload)
            return
        self._outbox.flush(event.id)

    def _withdraw(self, medium: Medium, upload: ObjectVersion) -> None:
        """Take back what may have been promoted of an upload, unless the settled medium is it."""
        if medium.fields.get("generation") == str(upload.generation):
            return
        self._objects.discard(self._buckets.media, media_name(medium.id, upload.generation))
        for size in SIZES:
            name = rendition_name(medium.id, upload.generation, size)
            self._objects.discard(self._buckets.renditions, name)


def _checked(medium: Medium, content: bytes) -> Rendered:
    """The bucket enforced type and checksum when the URL was ours; what came otherwise, or over
    a resumable session, is told here. Raises Rejected."""
    if crc32c_of([content]) != medium.fields["crc32c"]:
        raise Rejected("checksum-mismatch")
    return render(BytesIO(content), declared=str(medium.fields["contentType"]))
