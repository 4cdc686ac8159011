"""A session: one sign-in on one device, and what is published about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal, Self

from shared.events.model import Event

EndReason = Literal["logout", "reuse", "ended"]


@dataclass(frozen=True, slots=True)
class Session:
    """`counter` is that of the only refresh token which is good now, `rotated_at` when it became
    so; `epoch` is the user's at sign-in; `device` is what the client calls itself, shortened."""

    id: str
    user: str
    epoch: int
    counter: int
    rotated_at: datetime
    created_at: datetime
    expires_at: datetime
    revoked: bool
    device: str | None
    version: Any

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        return cls(
            identifier,
            str(data["user"]),
            int(data.get("epoch", 0)),
            int(data["counter"]),
            data["rotatedAt"],
            data["createdAt"],
            data["expireAt"],
            data["revokedAt"] is not None,
            data.get("device"),
            version,
        )

    def is_alive(self, user: Mapping[str, Any] | None, now: datetime) -> bool:
        """`user` are the stored fields of its user, None when there is none (any more)."""
        if user is None or self.epoch != epoch_of(user):
            return False
        # The TTL policy removes a document up to a day late.
        return not self.revoked and now < self.expires_at


def epoch_of(user: Mapping[str, Any]) -> int:
    """How often all sessions of the user were ended at once. A session is of the epoch that was
    read together with the password it was opened by, so one that a sign-in opens while the
    password changes is dead at birth."""
    return int(user.get("sessionEpoch", 0))


class SessionStarted(Event):
    """Somebody signed in."""

    type: ClassVar[str] = "snaptask.identity.v1.session-started"
    session: str


class SessionEnded(Event):
    """Nobody gets in by this session any more. `reuse`: one of its refresh tokens came again
    after its time, so it was stolen, or kept by a client with a fault."""

    type: ClassVar[str] = "snaptask.identity.v1.session-ended"
    session: str
    reason: EndReason


class AllSessionsEnded(Event):
    """Of what the user had opened before `epoch`, no session is good any more."""

    type: ClassVar[str] = "snaptask.identity.v1.all-sessions-ended"
    epoch: int
