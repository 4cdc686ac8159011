"""Renditions made anew from the original, when the recipe changed since or some are missing.

Safe to repeat and to kill: the new ones are written beside the old under names of their own, one
commit puts them in force, and only then the old go. A crash in between leaves some that no medium
names; they go with the original, or by the reconciler. Old links die at once, five minutes early.
Missing ones are written under the names that they had: nothing else changes, no document either.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from shared.events.model import FinalizedObject
from shared.events.outbox import Outbox
from shared.ids import derived_id
from shared.media.model import ORIGINAL_NAME, Buckets, MediaRerendered, Medium
from shared.media.objects import ObjectStore
from shared.media.pipeline import traits, write
from shared.media.renditions import RECIPE, Rejected, Rendered, check, make
from shared.media.store import MediaStore, PreconditionFailed

# Media of one owner with the same bytes that are looked at together; more come with their own.
_SHARED = 50
_log = logging.getLogger(__name__)


def is_outdated(medium: Medium) -> bool:
    """Whether its renditions were made by another recipe than they would be now."""
    return medium.has_renditions and medium.fields.get("recipe") != RECIPE


class Rerender:
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

    def __call__(self, medium: Medium) -> bool:
        """Whether the medium is ready by the present recipe afterwards. Not, when it is not
        ready, or moved on meanwhile, or its original is missing, damaged or refused now: then it
        stays as it is. Raises errors.Unavailable."""
        if medium.state != "ready":
            return False
        if not is_outdated(medium):
            return True
        rendered = self._rendered(medium)
        if rendered is None:
            return False
        write(self._objects, self._buckets.renditions, medium.media_name, rendered)
        told = MediaRerendered(
            id=derived_id(MediaRerendered.type, medium.id, medium.media_name, str(RECIPE)),
            occurred_at=self._clock(),
            media_id=medium.id,
            owner=medium.owner,
        )
        try:
            alone = self._store.rerendered(medium, traits(rendered, self._clock()), told)
        except PreconditionFailed:
            # Another did the same, or its owner something else; or the bytes got another owner.
            present = self._store.get(medium.id)
            return present is not None and present.state == "ready" and not is_outdated(present)
        self._outbox.flush(told.id)
        if alone:
            for one in medium.fields["renditions"]:
                self._objects.discard(self._buckets.renditions, medium.rendition_name(one["size"]))
        return True

    def restore(self, original: str) -> bool:
        """Whether all who stand on that original have their renditions afterwards; when not, a
        person has to look, as for `__call__`. Raises errors.Unavailable."""
        lacking = [one for one in self._standing_on(original) if self._lacks_renditions(one)]
        # The code knows the present recipe only: by another one, renditions are made as that one's.
        outdated = [one for one in lacking if is_outdated(one)]
        done = [self(one) for one in outdated]
        if len(outdated) < len(lacking):
            done.append(
                self._written(original, next(one for one in lacking if one not in outdated))
            )
        return all(done)

    def _written(self, original: str, medium: Medium) -> bool:
        rendered = self._rendered(medium)
        if rendered is None:
            return False
        write(self._objects, self._buckets.renditions, original, rendered)
        if not self._standing_on(original):
            # Erased meanwhile: nothing of it may stay.
            self._objects.erase(self._buckets.renditions, original)
        return True

    def _standing_on(self, original: str) -> list[Medium]:
        return self._store.standing_on(original, _SHARED)

    def _lacks_renditions(self, medium: Medium) -> bool:
        return not all(
            self._objects.stands(self._buckets.renditions, medium.rendition_name(one["size"]))
            for one in medium.fields.get("renditions") or ()
        )

    def _rendered(self, medium: Medium) -> Rendered | None:
        content = self._objects.load(self._buckets.media, medium.media_name)
        if content is None or hashlib.sha256(content).hexdigest() != medium.fields["sha256"]:
            _log.error("%s: the original is missing or damaged", medium.id)
            return None
        try:
            return make(content, check(content))
        except Rejected as rejection:
            _log.error("%s: the present recipe refuses it: %s", medium.id, rejection.reason)
            return None


class Arrivals:
    """What the thumbnails function is told of: uploads, and originals that miss renditions."""

    def __init__(
        self, pipeline: Callable[[FinalizedObject], None], rerender: Rerender, buckets: Buckets
    ) -> None:
        self._pipeline = pipeline
        self._rerender = rerender
        self._buckets = buckets

    def __call__(self, event: FinalizedObject) -> None:
        if event.bucket == self._buckets.media and ORIGINAL_NAME.fullmatch(event.name):
            self._rerender.restore(event.name)
        else:
            self._pipeline(event)
