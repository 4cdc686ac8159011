"""Sessions: one sign-in, carried on by refresh tokens that are used once.

A token that comes a second time was stolen, or its answer was lost. The immediate parent of the
present token is given the same successor again for half a minute, which heals a lost answer and
serves tabs that refresh at once; anything older ends the session for thief and owner alike.
Source: RFC 9700, section 4.14.2, "Refresh Token Protection".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from shared.errors import NotFound, Unauthenticated, Unavailable
from shared.identity.refresh import Presented, RefreshTokens
from shared.identity.session_model import EndReason, Session, epoch_of
from shared.identity.session_store import AlreadyExists, PreconditionFailed, SessionStore
from shared.ids import checked_id, new_id

# A device that was not used for a week signs in again, and every device once a month.
IDLE = timedelta(days=7)
LONGEST = timedelta(days=30)
# Longer than any client waits before it sends a request again, too short to be of use to a thief.
GRACE = timedelta(seconds=30)
# Sessions on one page, and the list has one page: who has more devices ends them all at once.
LISTED = 100
# Whoever loses a race meets the winner's state in the next round; more only with a mad clock.
_ROUNDS = 8
_log = logging.getLogger(__name__)


class Sessions:
    def __init__(
        self,
        store: SessionStore,
        tokens: RefreshTokens,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    def start(self, user_id: str, epoch: int, device: str | None = None) -> tuple[Session, str]:
        """A new session and its first refresh token. `epoch` is the user's as it was when his
        password, or what else proved who he is, was read."""
        session_id, now = new_id(), self._clock()
        # First, so that a session is never stored whose token cannot be made.
        token = self._tokens.make(session_id, 0)
        session = Session(
            id=session_id,
            user=user_id,
            epoch=epoch,
            counter=0,
            rotated_at=now,
            created_at=now,
            expires_at=now + IDLE,
            revoked=False,
            device=device,
            version=None,
        )
        self._store.create(session)
        return session, token

    def refresh(self, token: str) -> tuple[Session, str]:
        """The session and the next refresh token. Raises Unauthenticated; a forged token changes
        nothing, an old one ends the session."""
        presented = self._genuine(token)
        for _ in range(_ROUNDS):
            session = self._alive(presented.session)
            try:
                return session, self._tokens.make(session.id, self._step(session, presented))
            except PreconditionFailed:
                continue
        raise Unavailable("This session is being refreshed from many sides")

    def named(self, token: str) -> str:
        """The session that a genuine token is of, alive or not. Raises Unauthenticated."""
        return self._genuine(token).session

    def end(self, token: str) -> None:
        """Any genuine token of a session ends it; ending twice, or with a token that is none,
        changes nothing and is no error (RFC 7009, section 2.2: nobody could act on it)."""
        presented = self._tokens.read(token)
        session = self._store.read(presented.session) if presented else None
        if session is not None:
            self._revoke(session, "logout")

    def end_one(self, user_id: str, session_id: str) -> None:
        """Raises NotFound for another user's; one that has ended already stays so."""
        session = self._store.read(checked_id(session_id))
        if session is None or session.user != user_id:
            raise NotFound
        self._revoke(session, "ended")

    def end_all(self, user_id: str) -> None:
        """Raises Unauthenticated when the user is no more."""
        for _ in range(_ROUNDS):
            found = self._store.user(user_id)
            if found is None:
                raise Unauthenticated
            # Of two at once the second meets the user's version or the event, as the store likes.
            with suppress(PreconditionFailed, AlreadyExists):
                return self._store.end_all(user_id, *found, self._clock())
        raise Unavailable("This account is being changed from many sides")

    def of_user(self, user_id: str) -> list[Session]:
        """The live ones, the one used last first."""
        found = self._store.user(user_id)
        if found is None:
            raise Unauthenticated
        return self._store.of_user(user_id, epoch_of(found[0]), self._clock(), LISTED)

    def _step(self, session: Session, presented: Presented) -> int:
        """The counter of the token to give for the presented one. Raises PreconditionFailed when
        another request was faster."""
        now = self._clock()
        if presented.counter == session.counter:
            expires_at = min(now + IDLE, session.created_at + LONGEST)
            self._store.rotate(session, now, expires_at)
            return session.counter + 1
        if presented.counter == session.counter - 1 and now - session.rotated_at <= GRACE:
            return session.counter
        # A token of the future is of a state that a restored backup forgot: it signs nobody in,
        # and proves no theft.
        if presented.counter < session.counter:
            self._revoke(session, "reuse")
        raise Unauthenticated

    def _revoke(self, session: Session, reason: EndReason) -> None:
        """The first reason stays; what is gone has ended."""
        if session.revoked:
            return
        if reason == "reuse":
            _log.warning("sessions: a refresh token of %s came again after its time", session.id)
        with suppress(PreconditionFailed, AlreadyExists):
            self._store.revoke(session, reason, self._clock())

    def _genuine(self, token: str) -> Presented:
        presented = self._tokens.read(token)
        if presented is None:
            raise Unauthenticated
        return presented

    def _alive(self, session_id: str) -> Session:
        session = self._store.read(session_id)
        if session is None:
            raise Unauthenticated
        user = self._store.user(session.user)
        if not session.is_alive(user[0] if user else None, self._clock()):
            raise Unauthenticated
        return session
