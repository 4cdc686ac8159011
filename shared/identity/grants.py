"""What somebody is given who has proved who he is: a session, and a pair of tokens for it."""

from __future__ import annotations

from shared.identity.model import TokenPair
from shared.identity.sessions import Sessions
from shared.identity.tokens import LIFETIME, TokenSigner


class Grants:
    def __init__(self, sessions: Sessions, signer: TokenSigner) -> None:
        self._sessions = sessions
        self._signer = signer

    def start(self, user_id: str, epoch: int, device: str | None = None) -> TokenPair:
        """`epoch` is the user's as it was when the proof was checked."""
        self._signer.prepare()
        session, refresh_token = self._sessions.start(user_id, epoch, device)
        return self._pair(user_id, session.id, refresh_token)

    def refresh(self, token: str) -> TokenPair:
        """Raises Unauthenticated; a genuine token that is too old ends its session."""
        self._signer.prepare()
        session, refresh_token = self._sessions.refresh(token)
        return self._pair(session.user, session.id, refresh_token)

    def _pair(self, user_id: str, session_id: str, refresh_token: str) -> TokenPair:
        return TokenPair(
            access_token=self._signer.sign(user_id, session_id),
            expires_in=int(LIFETIME.total_seconds()),
            refresh_token=refresh_token,
        )
