"""Where sessions are kept, and which writes belong together.

A rotation carries no event: it is a counter's step every few minutes, of which nobody could tell
anything but that the device is in use, and `rotatedAt` says that.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.documents import (
    AlreadyExists,
    Create,
    DocumentStore,
    PreconditionFailed,
    Update,
)
from shared.events import outbox
from shared.identity.session_model import (
    AllSessionsEnded,
    EndReason,
    Session,
    SessionEnded,
    SessionStarted,
    epoch_of,
)
from shared.ids import derived_id

SCHEMA_VERSION = 1


class SessionStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, session: Session) -> None:
        data = {
            "user": session.user,
            "epoch": session.epoch,
            "counter": session.counter,
            "rotatedAt": session.rotated_at,
            "createdAt": session.created_at,
            "expireAt": session.expires_at,
            "device": session.device,
            "revokedAt": None,
            "revokedFor": None,
            "schemaVersion": SCHEMA_VERSION,
        }
        event = SessionStarted(
            id=derived_id(SessionStarted.type, session.id),
            occurred_at=session.created_at,
            owner=session.user,
            session=session.id,
        )
        self._documents.commit([Create(f"sessions/{session.id}", data), outbox.stored(event)])

    def read(self, session_id: str) -> Session | None:
        document = self._documents.get(f"sessions/{session_id}")
        if document is None:
            return None
        return Session.from_document(session_id, document.data, document.version)

    def user(self, user_id: str) -> tuple[Mapping[str, Any], Any] | None:
        """The user's stored fields and their version."""
        document = self._documents.get(f"users/{user_id}")
        return (document.data, document.version) if document else None

    def of_user(self, user_id: str, epoch: int, now: datetime, limit: int) -> list[Session]:
        """The live ones, the one used last first."""
        found = self._documents.query(
            "sessions",
            where=[("user", "==", user_id), ("epoch", "==", epoch), ("expireAt", ">", now)],
            order=[("expireAt", "DESCENDING"), ("__name__", "DESCENDING")],
            limit=limit,
        )
        return [Session.from_document(one.id, one.data, one.version) for one in found]

    def rotate(self, session: Session, now: datetime, expires_at: datetime) -> None:
        """Raises PreconditionFailed when somebody else did meanwhile."""
        fields = {"counter": session.counter + 1, "rotatedAt": now, "expireAt": expires_at}
        self._documents.commit([Update(f"sessions/{session.id}", fields, version=session.version)])

    def revoke(self, session: Session, reason: EndReason, now: datetime) -> None:
        """Whatever became of it since it was read, so that no number of refreshes can outrun
        signing out. Raises PreconditionFailed when it is gone, AlreadyExists when somebody else
        ended it meanwhile."""
        event = SessionEnded(
            id=derived_id(SessionEnded.type, session.id),
            occurred_at=now,
            owner=session.user,
            session=session.id,
            reason=reason,
        )
        # Expired at once: no list shows it, and the TTL policy may take it.
        fields = {"revokedAt": now, "revokedFor": reason, "expireAt": now}
        self._documents.commit([Update(f"sessions/{session.id}", fields), outbox.stored(event)])

    def end_all(self, user_id: str, user: Mapping[str, Any], version: Any, now: datetime) -> None:
        """One write, however many there are. Raises PreconditionFailed when the user was changed
        meanwhile."""
        epoch = epoch_of(user) + 1
        event = AllSessionsEnded(
            id=derived_id(AllSessionsEnded.type, user_id, str(epoch)),
            occurred_at=now,
            owner=user_id,
            epoch=epoch,
        )
        fields = {"sessionEpoch": epoch, "updatedAt": now}
        self._documents.commit(
            [Update(f"users/{user_id}", fields, version=version), outbox.stored(event)]
        )


__all__ = ["AlreadyExists", "PreconditionFailed", "SessionStore"]
