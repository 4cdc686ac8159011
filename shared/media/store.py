"""Where media are kept, and which writes belong together: every change carries its event.

The first state is guarded by the id, each later one by the version that was read, so of two
handlers of one delivery exactly one commits, and the event exists exactly when the state does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.documents import (
    AlreadyExists,
    Create,
    DocumentStore,
    Order,
    PreconditionFailed,
    Update,
)
from shared.events.model import Event
from shared.events.outbox import stored
from shared.media.model import VISIBLE, Medium, State

_NEWEST_FIRST: tuple[Order, ...] = (("createdAt", "DESCENDING"), ("__name__", "DESCENDING"))
_OLDEST_EXPIRY: tuple[Order, ...] = (("uploadExpiresAt", "ASCENDING"), ("__name__", "ASCENDING"))
SCHEMA_VERSION = 1


class MediaStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, media_id: str, data: Mapping[str, Any]) -> Medium:
        """Raises AlreadyExists."""
        whole = {**data, "state": "pending", "schemaVersion": SCHEMA_VERSION}
        self._documents.commit([Create(f"media/{media_id}", whole)])
        return Medium.from_document(media_id, whole, None)

    def get(self, media_id: str) -> Medium | None:
        document = self._documents.get(f"media/{media_id}")
        return (
            Medium.from_document(document.id, document.data, document.version) if document else None
        )

    def get_all(self, media_ids: Sequence[str]) -> list[Medium]:
        """Those that exist, in the order asked for."""
        found = self._documents.get_all([f"media/{media_id}" for media_id in media_ids])
        documents = [found.get(f"media/{media_id}") for media_id in media_ids]
        return [Medium.from_document(d.id, d.data, d.version) for d in documents if d is not None]

    def find(
        self, owner: str, state: State | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[Medium]:
        states = list(VISIBLE) if state is None else [state]
        documents = self._documents.query(
            "media",
            where=[("owner", "==", owner), ("state", "in", states)],
            order=_NEWEST_FIRST,
            start_after=after,
            limit=limit,
        )
        return [Medium.from_document(d.id, d.data, d.version) for d in documents]

    def overdue(self, before: datetime, limit: int) -> list[Medium]:
        """Pending ones whose upload had to end before that moment, the oldest first."""
        documents = self._documents.query(
            "media",
            where=[("state", "==", "pending"), ("uploadExpiresAt", "<", before)],
            order=_OLDEST_EXPIRY,
            limit=limit,
        )
        return [Medium.from_document(d.id, d.data, d.version) for d in documents]

    def change(self, medium: Medium, state: State, fields: Mapping[str, Any], event: Event) -> None:
        """Move to `state` and store the event that says so, in one commit. Raises
        PreconditionFailed when `medium` is no longer the present state."""
        changed = {**fields, "state": state, "updatedAt": event.occurred_at}
        try:
            self._documents.commit(
                [
                    Update(f"media/{medium.id}", changed, version=medium.version),
                    stored(event, medium.fields.get("traceparent")),
                ]
            )
        except AlreadyExists:
            # The same change by another: which of the two guards is told is the store's choice.
            raise PreconditionFailed(f"media/{medium.id}") from None


__all__ = ["AlreadyExists", "MediaStore", "PreconditionFailed"]
