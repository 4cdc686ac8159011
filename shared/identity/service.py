"""What a person can do about who he is. Whether an address is known shows in no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from shared.errors import Invalid, Unauthenticated, Unavailable
from shared.http import Principal
from shared.identity.addresses import address_key
from shared.identity.keys import MACKeys
from shared.identity.model import (
    Credentials,
    Registration,
    TokenPair,
    User,
    UserRegistered,
    UserView,
)
from shared.identity.passwords import Passwords, normalized
from shared.identity.sessions import Sessions
from shared.identity.store import AlreadyExists, IdentityStore, PreconditionFailed
from shared.identity.tokens import LIFETIME, TokenSigner
from shared.ids import derived_id, new_id

_ADDRESS = "address"


class IdentityService:
    """`password_floor` is in code points and holds for new passwords only."""

    def __init__(
        self,
        store: IdentityStore,
        sessions: Sessions,
        signer: TokenSigner,
        keys: MACKeys,
        passwords: Passwords,
        *,
        password_floor: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._signer = signer
        self._keys = keys
        self._passwords = passwords
        self._floor = password_floor
        self._clock = clock

    def register(self, wanted: Credentials) -> Registration:
        """Registering twice changes nothing; the first password stays."""
        if len(normalized(wanted.password)) < self._floor:
            message = f"needs at least {self._floor} characters"
            raise Invalid(errors=[{"pointer": "/password", "message": message}])
        hashes = self._hashes(wanted.email)
        user_id, now = new_id(), self._clock()
        data = {
            "email": wanted.email,
            # Hashed for a known address too, or the time of the answer would tell.
            "passwordHash": self._passwords.hash(wanted.password),
            "createdAt": now,
            "updatedAt": now,
        }
        event = UserRegistered(
            id=derived_id(UserRegistered.type, user_id), occurred_at=now, owner=user_id
        )
        with suppress(AlreadyExists):
            self._store.register(user_id, data, hashes, event)
        return Registration(email=wanted.email)

    def login(self, given: Credentials) -> TokenPair:
        """Raises Unauthenticated, the same for an unknown address and for a wrong password."""
        user = self._store.user_by_address(self._hashes(given.email))
        stored = user.password_hash if user else None
        if not self._passwords.verify(stored, given.password) or user is None:
            raise Unauthenticated("The address and the password do not fit together")
        self._strengthen(user, given.password)
        self._signer.prepare()
        session_id, refresh_token = self._sessions.start(user.id)
        return self._pair(user.id, session_id, refresh_token)

    def refresh(self, token: str) -> TokenPair:
        """Raises Unauthenticated; a genuine token that is too old ends its session."""
        self._signer.prepare()
        session, refresh_token = self._sessions.refresh(token)
        return self._pair(session.user, session.id, refresh_token)

    def logout(self, token: str) -> None:
        self._sessions.end(token)

    def me(self, caller: Principal) -> UserView:
        """Raises Unauthenticated as soon as the session has ended, before the token does."""
        user = self._store.user(caller.user)
        if user is None or not self._sessions.is_alive(caller.session):
            raise Unauthenticated
        return user.view()

    def _strengthen(self, user: User, password: str) -> None:
        """Hash again when the parameters were raised; the password is known only now. What
        hinders it hinders no sign-in: the next one tries again."""
        if self._passwords.is_outdated(user.password_hash):
            with suppress(PreconditionFailed, Unavailable):
                self._store.replace_hash(user, self._passwords.hash(password), self._clock())

    def _pair(self, user_id: str, session_id: str, refresh_token: str) -> TokenPair:
        return TokenPair(
            access_token=self._signer.sign(user_id, session_id),
            expires_in=int(LIFETIME.total_seconds()),
            refresh_token=refresh_token,
        )

    def _hashes(self, address: str) -> Sequence[str]:
        return [mac.hex() for mac in self._keys.all_macs(_ADDRESS, address_key(address))]
