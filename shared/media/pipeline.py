"""From a finalized upload to a ready medium, or a rejected one: the heart of Snaptask.

The order: read the event's generation, say `scanning`, tell type and size by the content, scan for
viruses, decode, promote that generation, write the renditions, ONE commit, delete the upload.
Deliveries come at least once, in any order, at the same time. What makes that harmless:
- the event's generation is read, checked and promoted; a later object under the same name is
  another generation and never takes this one's place, and the latest that arrived is pinned on
  the medium;
- names in the target buckets hold the generation and are written only when nothing stands there;
- one commit, guarded by the medium's version, makes the medium ready and stores the event; who
  loses it finds the medium settled;
- only after it the inbox object goes. A crash anywhere before leaves the upload for the next
  delivery, a crash after it leaves an object whose next delivery deletes it;
- a delivery that finds the medium settled otherwise takes back what an earlier one, that did not
  get to its commit, may have promoted.
Without the scanner a medium stays `scanning`, and the event comes again.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from shared.errors import Unavailable
from shared.events.model import Event, FinalizedObject
from shared.events.outbox import Outbox
from shared.ids import derived_id
from shared.media.blobs import Blob
from shared.media.checksums import crc32c_of
from shared.media.model import (
    COMING,
    Buckets,
    MediaArrived,
    MediaReady,
    MediaRejected,
    Medium,
    State,
    media_name,
    rendition_name,
)
from shared.media.objects import ObjectStore, ObjectVersion
from shared.media.outline import Outline
from shared.media.renditions import RECIPE, Rejected, Rendered, check, make
from shared.media.scan import Scanner
from shared.media.store import MediaStore, PreconditionFailed
from shared.media.traits import plausible
from shared.signals import seconds_between, signal

_INBOX_NAME = re.compile(r"uploads/([a-z2-7]{20})")
# Each round loses only to another delivery that pinned, which happens once a generation.
_ROUNDS = 4
Facts = dict[str, Any]
_log = logging.getLogger(__name__)


class Pipeline:
    def __init__(
        self,
        store: MediaStore,
        objects: ObjectStore,
        outbox: Outbox,
        buckets: Buckets,
        scanner: Scanner,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._objects = objects
        self._outbox = outbox
        self._buckets = buckets
        self._scanner = scanner
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
            if event.created:
                signal("upload.settled", seconds=seconds_between(event.created, self._clock()))
        elif medium is not None:
            self._withdraw(medium, upload)
        self._objects.delete(upload)

    def _settle(self, medium: Medium, upload: ObjectVersion, size: int) -> None:
        # Before the read: what was announced is bounded, what was sent need not be.
        if size != medium.fields["size"]:
            self._reject(medium, upload, "size-mismatch")
            return
        content = self._objects.read(upload)
        # None: another delivery was faster, or the upload was replaced; its own event comes.
        pinned = self._pinned(medium, upload) if content is not None else None
        if content is None or pinned is None:
            return
        try:
            outline, facts = self._harmless(pinned, upload, content)
            self._finish(pinned, upload, content, outline, facts)
        except Rejected as rejection:
            self._reject(pinned, upload, rejection.reason)

    def _pinned(self, medium: Medium | None, upload: ObjectVersion) -> Medium | None:
        """The medium, once it says that it is looking at this generation; None when it is settled
        or a later one arrived."""
        for _ in range(_ROUNDS):
            if medium is None or medium.state not in COMING:
                break
            pinned = int(medium.fields.get("pinned", 0))
            if pinned == upload.generation:
                return medium
            if pinned > upload.generation:
                break
            arrived = self._told(MediaArrived, medium, upload)
            with suppress(PreconditionFailed):
                self._store.change(medium, "scanning", {"pinned": str(upload.generation)}, arrived)
                if pinned:
                    self._discard(medium.id, pinned)
            medium = self._store.get(medium.id)
        else:
            raise Unavailable("Too many uploads of one medium at once")
        if medium is not None:
            self._withdraw(medium, upload)
        return None

    def _harmless(
        self, medium: Medium, upload: ObjectVersion, content: bytes
    ) -> tuple[Outline, Facts]:
        """What the content is, once it was found whole and harmless. The bucket enforced type and
        checksum when the URL was ours; what came otherwise, or over a resumable session, is told
        here. Raises Rejected, errors.Unavailable."""
        if crc32c_of([content]) != medium.fields["crc32c"]:
            raise Rejected("checksum-mismatch")
        outline = check(content, declared=str(medium.fields["contentType"]))
        scanned_by = self._scanner.scan(upload, content)
        facts = {
            "contentType": outline.type,
            "sha256": hashlib.sha256(content).hexdigest(),
            "scannedBy": scanned_by,
            "scannedAt": self._clock() if scanned_by else None,
        }
        return outline, facts

    def _finish(
        self, medium: Medium, upload: ObjectVersion, content: bytes, outline: Outline, facts: Facts
    ) -> None:
        """Decode, promote and commit; or join the same bytes, which the owner has already. Raises
        Rejected, errors.Unavailable."""
        ready = self._told(MediaReady, medium, upload)
        rendered: Rendered | None = None
        for _ in range(_ROUNDS):
            fields = {**facts, "generation": str(upload.generation)}
            twin = self._store.twin(medium.owner, str(facts["sha256"]))
            if twin is None:
                if rendered is None and not outline.is_document:
                    rendered = make(content, outline)
                fields |= traits(rendered, self._clock())
                if not self._promote(medium, upload, outline.type, rendered):
                    return
            if self._change(medium, upload, "ready", fields, ready, twin):
                return
        raise Unavailable("Too many uploads of the same bytes at once")

    def _promote(
        self, medium: Medium, upload: ObjectVersion, kind: str, rendered: Rendered | None
    ) -> bool:
        name = media_name(medium.id, upload.generation)
        if not self._objects.copy(upload, self._buckets.media, name, kind):
            return False
        if rendered is not None:
            write(self._objects, self._buckets.renditions, name, rendered)
        return True

    def _reject(self, medium: Medium, upload: ObjectVersion, reason: str) -> None:
        rejected = self._told(MediaRejected, medium, upload, reason=reason)
        self._change(medium, upload, "rejected", {"reason": reason}, rejected)

    def _told(self, kind: type[Event], medium: Medium, upload: ObjectVersion, **more: str) -> Event:
        return kind.model_validate(
            {
                "id": _event_id(kind, medium.id, upload.generation),
                "occurred_at": self._clock(),
                "media_id": medium.id,
                "owner": medium.owner,
                "generation": str(upload.generation),
                **more,
            }
        )

    def _change(
        self,
        medium: Medium,
        upload: ObjectVersion,
        state: State,
        fields: Facts,
        event: Event,
        twin: Blob | None = None,
    ) -> bool:
        """False when it was not the medium that changed meanwhile, but who has the same bytes."""
        try:
            self._store.change(medium, state, fields, event, twin=twin)
        except PreconditionFailed:
            # Settled by another delivery, or given up by its owner meanwhile.
            present = self._store.get(medium.id)
            if present is not None and present.version == medium.version:
                return False
            self._withdraw(present or medium, upload)
            return True
        if twin is not None:
            # Of an earlier round, or a delivery that did not get to its commit.
            self._discard(medium.id, upload.generation)
        # The arrival is told together with the end, unless the end is long in coming: then the
        # sweep does it.
        self._outbox.flush(_event_id(MediaArrived, medium.id, upload.generation), event.id)
        return True

    def _withdraw(self, medium: Medium, upload: ObjectVersion) -> None:
        """Take back what may have been promoted of an upload, unless somebody stands on it."""
        if not self._store.keeps(medium, media_name(medium.id, upload.generation)):
            self._discard(medium.id, upload.generation)

    def _discard(self, media_id: str, generation: int) -> None:
        # Every generation, or the versioned bucket would keep what nobody ever stood on.
        name = media_name(media_id, generation)
        self._objects.erase(self._buckets.media, name)
        self._objects.erase(self._buckets.renditions, name)


def traits(rendered: Rendered | None, now: datetime) -> Facts:
    """What a medium's document keeps of its renditions; of a document there are none."""
    if rendered is None:
        return {"recipe": RECIPE, "renditions": []}
    return {
        "recipe": RECIPE,
        "width": rendered.width,
        "height": rendered.height,
        "thumbhash": rendered.thumbhash,
        "color": rendered.colour,
        "capturedAt": plausible(rendered.captured_at, now),
        "renditions": [
            {
                "size": one.size,
                "width": one.width,
                "height": one.height,
                "bytes": len(one.content),
                "animated": one.animated,
            }
            for one in rendered.renditions
        ],
    }


def write(objects: ObjectStore, bucket: str, original: str, rendered: Rendered) -> None:
    for one in rendered.renditions:
        name = rendition_name(original, RECIPE, one.size)
        objects.write(bucket, name, one.content, one.content_type)


def _event_id(kind: type[Event], media_id: str, generation: int) -> str:
    return derived_id(kind.type, media_id, str(generation))
