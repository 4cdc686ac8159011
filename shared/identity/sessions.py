"""Sessions: one sign-in, carried on by refresh tokens that are used once.

A token that comes a second time was stolen, or its answer was lost. The immediate parent of the
present token is given the same successor again for half a minute, which heals a lost answer and
serves tabs that refresh at once; anything older ends the session for thief and owner alike.
Source: RFC 9700, section 4.14.2, "Refresh Token Protection".
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from shared.errors import Unauthenticated, Unavailable
from shared.identity.model import Session
from shared.identity.refresh import Presented, RefreshTokens
from shared.identity.store import IdentityStore, PreconditionFailed
from shared.ids import new_id

# A device that was not used for a week signs in again, and every device once a month.
IDLE = timedelta(days=7)
LONGEST = timedelta(days=30)
# Longer than any client waits before it sends a request again, too short to be of use to a thief.
GRACE = timedelta(seconds=30)
# Whoever loses a race meets the winner's state in the next round; more only with a mad clock.
_ROUNDS = 8


class Sessions:
    def __init__(
        self,
        store: IdentityStore,
        tokens: RefreshTokens,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    def start(self, user_id: str) -> tuple[str, str]:
        """A new session's id and its first refresh token."""
        session_id = new_id()
        # First, so that a session is never stored whose token cannot be made.
        token = self._tokens.make(session_id, 0)
        now = self._clock()
        self._store.create_session(session_id, user_id, now, now + IDLE)
        return session_id, token

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

    def end(self, token: str) -> None:
        """Any genuine token of a session ends it; ending twice, or with a token that is none,
        changes nothing and is no error (RFC 7009, section 2.2: nobody could act on it)."""
        presented = self._tokens.read(token)
        session = self._store.session(presented.session) if presented else None
        if session is not None and not session.revoked:
            self._revoke(session, "logout")

    def is_alive(self, session_id: str) -> bool:
        session = self._store.session(session_id)
        return session is not None and session.is_alive(self._clock())

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

    def _revoke(self, session: Session, reason: str) -> None:
        # Gone already is ended already.
        with suppress(PreconditionFailed):
            self._store.revoke(session.id, reason, self._clock())

    def _genuine(self, token: str) -> Presented:
        presented = self._tokens.read(token)
        if presented is None:
            raise Unauthenticated
        return presented

    def _alive(self, session_id: str) -> Session:
        session = self._store.session(session_id)
        if session is None or not session.is_alive(self._clock()):
            raise Unauthenticated
        return session
