"""Signing up and signing in. Whether an address is known shows in no answer, nor in its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from shared.errors import Forbidden, Unauthenticated, Unavailable
from shared.http import Principal, Source
from shared.identity.addresses import address_key
from shared.identity.attempts import Attempts
from shared.identity.grants import Grants
from shared.identity.keys import MACKeys
from shared.identity.mails import MailStore
from shared.identity.model import (
    Credentials,
    Registration,
    TokenPair,
    User,
    UserRegistered,
    UserView,
)
from shared.identity.passwords import PasswordPolicy, Passwords
from shared.identity.store import ADDRESS, AlreadyExists, IdentityStore, PreconditionFailed
from shared.ids import derived_id, new_id


class IdentityService:
    """With `unverified` an account is good before its address is confirmed."""

    def __init__(
        self,
        store: IdentityStore,
        mails: MailStore,
        grants: Grants,
        keys: MACKeys,
        passwords: Passwords,
        policy: PasswordPolicy,
        attempts: Attempts,
        *,
        unverified: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._mails = mails
        self._grants = grants
        self._keys = keys
        self._passwords = passwords
        self._policy = policy
        self._attempts = attempts
        self._unverified = unverified
        self._clock = clock

    def register(self, wanted: Credentials, source: Source) -> Registration:
        """Registering twice changes nothing; the first password stays. The mail says which it
        was, and is written elsewhere, so that here both cost the same."""
        self._policy.check(wanted.password, wanted.email)
        self._attempts.register(source)
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
        if self._attempts.may_mail(wanted.email, source):
            self._mails.want("registration", wanted.email, now)
        return Registration(email=wanted.email)

    def login(self, given: Credentials, source: Source, device: str | None = None) -> TokenPair:
        """Raises Unauthenticated, the same for an unknown address and for a wrong password;
        Forbidden only to who knows the password."""
        attempt = self._attempts.sign_in(given.email, source)
        user = self._store.user_by_address(self._hashes(given.email))
        stored = user.password_hash if user else None
        fits = self._passwords.verify(stored, given.password)
        if not fits or user is None or user.is_erasing:
            raise Unauthenticated("The address and the password do not fit together")
        if not (user.is_verified or self._unverified):
            raise Forbidden("Open the link in your mail first; registering again sends another")
        self._strengthen(user, given.password)
        pair = self._grants.start(user.id, user.epoch, device)
        self._attempts.succeeded(attempt)
        return pair

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
