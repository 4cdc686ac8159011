"""Room for uploads: an owner's usage never passes his limits, and nothing that fits is refused.

One document has an owner's usage, so many announcements at once meet there, and none may wait for
the others. The usual way is therefore to reserve first: the commit that makes the medium adds its
bytes and is told the sum, in one round trip. A sum within the limit is room for certain, because it
includes everybody's. One beyond it takes its reservation back, and then asks exactly: by a commit
that holds only while the usage is the one it read. It refuses only what really does not fit: the
reservations of others, who may be about to take theirs back, are waited for.

A medium whose id a client can name again (Idempotency-Key) goes the exact way at once: another
request with its key must never meet a medium that is being taken back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from shared.errors import OverQuota, Unavailable
from shared.ids import derived_id, new_id
from shared.media.api_model import UsageView
from shared.media.model import MediaDeleted, Medium
from shared.media.store import AlreadyExists, MediaStore, PreconditionFailed, Usage
from shared.recent import Recent

# Seconds. As long as the database itself may take to answer.
_PATIENCE = 2.5
# Seconds for which a usage must stand still before what is reserved counts as really taken: ten
# times what taking a reservation back takes.
_STILL = 0.1
_PAUSE = 0.02
# Owners who had no room lately are asked exactly at once, so that a client which goes on trying
# writes nothing. Seconds, and how many are remembered (about 100 bytes each).
_REMEMBERED = 60.0
_MOST = 2048
# Media of one owner that are not deleted, whatever they are: bytes alone would let five thousand
# million texts of one byte into 5 GiB. With files of 54 kB the bytes are full first, and a hundred
# thousand are what the reconciler adds up in half a minute.
MOST_FILES = 100_000
FULL = (
    f"An account has room for {MOST_FILES:,} files, the trash and refused ones included, and for "
    "the bytes that its usage tells"
)

Drafts = Mapping[str, Mapping[str, Any]]


class Quota:
    """`limit` is in bytes and `most` in media, for each owner."""

    def __init__(
        self,
        store: MediaStore,
        limit: int,
        *,
        most: int = MOST_FILES,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit = limit
        self._most = most
        self._store = store
        self._clock = clock
        self._pause = pause
        self._full: Recent[str, bool] = Recent(_REMEMBERED, _MOST, clock)

    def view(self, owner: str) -> UsageView:
        usage = self._store.usage(owner)
        return UsageView(
            used=usage.used,
            reserved=usage.reserved,
            limit=self.limit,
            count=usage.count,
            in_trash=usage.trashed,
            files=usage.places,
            most_files=self._most,
        )

    def take(self, media_id: str, draft: Mapping[str, Any]) -> Medium:
        """Make a pending medium whose id nobody else knows; it has another one in the end when the
        first had to be taken back. Raises OverQuota."""
        if not self._full.get(str(draft["owner"])):
            usage = self._store.announce({media_id: draft})
            if usage.taken <= self.limit and usage.places <= self._most:
                return _pending(media_id, draft)
            self._take_back(media_id, draft["createdAt"])
            media_id = new_id()
        taken = self.take_exactly({media_id: draft})
        if not taken:
            raise OverQuota(FULL)
        return taken[media_id]

    def take_exactly(self, drafts: Drafts) -> dict[str, Medium]:
        """Make those pending media of one owner for which there is room, in their order; returns
        them, and those that existed already as they are."""
        owner = str(next(iter(drafts.values()))["owner"])
        for usage, present, is_still in self._looks(owner, list(drafts)):
            missing = {one: draft for one, draft in drafts.items() if one not in present}
            fitting = self._fitting(missing, usage.taken, usage.places)
            if len(fitting) < len(missing):
                # What is used is no reservation that somebody may be taking back.
                kept = self._fitting(missing, usage.used, usage.count)
                if not is_still and len(fitting) < len(kept):
                    continue
                self._full.add(owner, True, self._full.now())
            if fitting:
                try:
                    self._store.announce(fitting, usage)
                except (AlreadyExists, PreconditionFailed):
                    continue
            made = {one: _pending(one, draft) for one, draft in fitting.items()}
            return {**present, **made}
        raise Unavailable("Too many uploads are announced at once")

    def _fitting(self, drafts: Drafts, taken: int, places: int) -> Drafts:
        fitting: dict[str, Mapping[str, Any]] = {}
        for media_id, draft in drafts.items():
            if places + len(fitting) >= self._most:
                break
            if taken + int(draft["size"]) <= self.limit:
                taken += int(draft["size"])
                fitting[media_id] = draft
        return fitting

    def _looks(
        self, owner: str, media_ids: list[str]
    ) -> Iterator[tuple[Usage, Mapping[str, Medium], bool]]:
        """The usage and those of the media that exist, again and again while there is patience;
        and whether the usage has stood still since it could have moved."""
        end = self._clock() + _PATIENCE
        version: Any = self
        since = 0.0
        pause = _PAUSE
        while True:
            usage, present = self._store.usage_and_media(owner, media_ids)
            now = self._clock()
            seen = usage.document and usage.document.version
            if seen != version:
                version, since = seen, now
            yield usage, present, now - since >= _STILL
            if now >= end:
                return
            self._pause(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 1.5, _STILL)

    def _take_back(self, media_id: str, now: datetime) -> None:
        medium = self._store.get(media_id)
        if medium is None:
            return
        event = MediaDeleted(
            id=derived_id(MediaDeleted.type, media_id),
            occurred_at=now,
            owner=medium.owner,
            media_id=media_id,
        )
        # Refused: its owner saw it in a list and was faster to give it up.
        with suppress(PreconditionFailed):
            self._store.unannounce(medium, event)


def _pending(media_id: str, draft: Mapping[str, Any]) -> Medium:
    return Medium.from_document(media_id, {**draft, "state": "pending"}, None)
