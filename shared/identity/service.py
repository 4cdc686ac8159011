"""What a person can do about who he is. Whether an address is known shows in no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from shared.errors import Invalid, Unauthenticated, Unavailable
from shared.http import Principal
from shared.identity.addresses import address_key
from shared.identity.grants import Grants
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
from shared.identity.store import ADDRESS, AlreadyExists, IdentityStore, PreconditionFailed
from shared.ids import derived_id, new_id


class IdentityService:
    """`password_floor` is in code points and holds for new passwords only."""

    def __init__(
        self,
        store: IdentityStore,
        grants: Grants,
        keys: MACKeys,
        passwords: Passwords,
        *,
        password_floor: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._grants = grants
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

    def login(self, given: Credentials, device: str | None = None) -> TokenPair:
        """Raises Unauthenticated, the same for an unknown address and for a wrong password."""
        user = self._store.user_by_address(self._hashes(given.email))
        stored = user.password_hash if user else None
        if not self._passwords.verify(stored, given.password) or user is None:
            raise Unauthenticated("The address and the password do not fit together")
        self._strengthen(user, given.password)
        return self._grants.start(user.id, user.epoch, device)

    def me(self, caller: Principal) -> UserView:
        user = self._store.user(caller.user)
        if user is None:
            raise Unauthenticated
        return user.view()

    def _strengthen(self, user: User, password: str) -> None:
        """Hash again when the parameters were raised; the password is known only now. What
        hinders it hinders no sign-in: the next one tries again."""
        if self._passwords.is_outdated(user.password_hash):
            with suppress(PreconditionFailed, Unavailable):
                self._store.replace_hash(user, self._passwords.hash(password), self._clock())

    def _hashes(self, address: str) -> Sequence[str]:
        return [mac.hex() for mac in self._keys.all_macs(ADDRESS, address_key(address))]
