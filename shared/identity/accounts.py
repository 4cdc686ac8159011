"""What a person does with his account: confirm the address, set another password, leave.

A change goes by the version of the user that it was decided on, together with its event, the mail
that tells of it and the link that allowed it, in one commit. Raising the user's epoch ends every
session; the one in use is carried over where it should stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from shared.documents import Update, Write
from shared.errors import Conflict, Invalid, Unauthenticated, Unavailable
from shared.events.model import Event
from shared.http import Principal, Source
from shared.identity.addresses import address_key
from shared.identity.attempts import Attempts
from shared.identity.keys import MACKeys
from shared.identity.links import Link, LinkTokens, Purpose
from shared.identity.mails import MailStore, wanted
from shared.identity.model import (
    EmailChange,
    EmailChanged,
    EmailVerified,
    ErasureRequested,
    NewPassword,
    PasswordChange,
    PasswordChanged,
    User,
    UserChange,
    UserChanged,
    UserView,
    Verification,
)
from shared.identity.passwords import PasswordPolicy, Passwords
from shared.identity.store import ADDRESS, AlreadyExists, IdentityStore, PreconditionFailed, spent
from shared.ids import new_id

# Whoever loses a race meets the winner's state in the next round; more only under attack.
_ROUNDS = 8


class Accounts:
    def __init__(
        self,
        store: IdentityStore,
        mails: MailStore,
        keys: MACKeys,
        passwords: Passwords,
        policy: PasswordPolicy,
        attempts: Attempts,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._mails = mails
        self._keys = keys
        self._links = LinkTokens(keys)
        self._passwords = passwords
        self._policy = policy
        self._attempts = attempts
        self._clock = clock

    def verify(self, given: Verification, source: Source) -> None:
        """Raises Invalid for a link that is no longer good, Unauthenticated for a password that
        is not the account's."""
        link, user = self._followed(given.token, "verify-email", source)
        attempt = self._attempts.sign_in(user.email, source)
        if not self._passwords.verify(user.password_hash, given.password):
            raise Unauthenticated("This is not the password that the account was made with")
        now = self._clock()
        event = EmailVerified(id=new_id(), occurred_at=now, owner=user.id)
        self._use(link, user, {"verifiedAt": now}, event)
        self._attempts.succeeded(attempt)

    def request_reset(self, address: str, source: Source) -> None:
        """The same work for an address that nobody has."""
        self._attempts.request(source)
        if self._attempts.may_mail(address, source):
            self._mails.want("password-reset", address, self._clock())

    def reset(self, given: NewPassword, source: Source) -> None:
        """Ends every session, and confirms the address: its mailbox was read."""
        link, user = self._followed(given.token, "reset-password", source)
        self._policy.check(given.password, user.email)
        now = self._clock()
        fields = {
            "passwordHash": self._passwords.hash(given.password),
            "sessionEpoch": user.epoch + 1,
            "verifiedAt": user.fields.get("verifiedAt") or now,
        }
        event = PasswordChanged(
            id=new_id(), occurred_at=now, owner=user.id, how="reset", session=None
        )
        self._use(link, user, fields, event, *wanted("password-changed", user.email, now, user.id))
        self._attempts.remember(user.email, source)

    def change_password(self, caller: Principal, given: PasswordChange) -> None:
        """Ends every session but the caller's."""
        user = self.confirmed(caller, given.current_password, "/currentPassword")
        self._policy.check(given.new_password, user.email, "/newPassword")
        now, epoch = self._clock(), user.epoch + 1
        fields = {
            "passwordHash": self._passwords.hash(given.new_password),
            "sessionEpoch": epoch,
        }
        event = PasswordChanged(
            id=new_id(), occurred_at=now, owner=user.id, how="changed", session=caller.session
        )
        kept = Update(f"sessions/{caller.session}", {"epoch": epoch})
        mail = wanted("password-changed", user.email, now, user.id)
        self._change(user, fields, event, kept, *mail)

    def rename(self, caller: Principal, given: UserChange) -> UserView:
        for _ in range(_ROUNDS):
            user = self.present(caller)
            if given.name is None or given.name == user.fields.get("name", ""):
                return user.view()
            now = self._clock()
            event = UserChanged(id=new_id(), occurred_at=now, owner=user.id)
            with suppress(PreconditionFailed):
                self._store.change(user, {"name": given.name}, now, event)
                return replace(user, fields={**user.fields, "name": given.name}).view()
        raise Unavailable("This account is being changed from many sides")

    def request_email(self, caller: Principal, given: EmailChange, source: Source) -> None:
        """The present address stays until the link in the new one's mail is opened."""
        self._attempts.request(source)
        user = self.confirmed(caller, given.password, "/password")
        if self._attempts.may_mail(given.email, source):
            self._mails.want("email-change", given.email, self._clock(), user.id, user.state)

    def change_email(self, token: str, source: Source) -> None:
        link, user = self._followed(token, "change-email", source)
        email, now = link.email or "", self._clock()
        event = EmailChanged(id=new_id(), occurred_at=now, owner=user.id)
        moved = self._store.moved_claims(user, self._hashes(user.email), self._hashes(email), now)
        mail = wanted("email-changed", user.email, now, user.id)
        fields = {"email": email, "verifiedAt": now, "moves": user.moves + 1}
        try:
            self._use(link, user, fields, event, *moved, *mail)
        except AlreadyExists:
            # By this very link, when it was followed twice at once.
            if self._store.link(link.id) is None:
                raise _worthless() from None
            raise Conflict("This address has an account of its own by now") from None

    def erase(self, caller: Principal, password: str) -> None:
        """Nobody signs in any more from this commit on; a job erases the rest (erasure.py)."""
        user = self.confirmed(caller, password, "/password")
        now = self._clock()
        event = ErasureRequested(id=new_id(), occurred_at=now, owner=user.id)
        fields = {"erasingAt": now, "sessionEpoch": user.epoch + 1}
        self._change(user, fields, event, *wanted("account-erased", user.email, now, user.id))

    def _followed(self, token: str, purpose: Purpose, source: Source) -> tuple[Link, User]:
        """Raises Invalid for all that is not good now, without saying why."""
        link_id = self._links.read(token, purpose)
        if link_id is None:
            raise _worthless()
        self._attempts.redeem(source)
        link = self._store.link(link_id)
        if link is None or link.purpose != purpose or link.expires_at <= self._clock():
            raise _worthless()
        user = self._store.user(link.user)
        if user is None or user.is_erasing:
            raise _worthless()
        if (user.epoch, user.moves) != (link.epoch, link.moves):
            raise _worthless()
        return link, user

    def _use(
        self, link: Link, user: User, fields: dict[str, object], event: Event, *also: Write
    ) -> None:
        try:
            self._store.change(user, fields, self._clock(), event, spent(link), *also)
        except PreconditionFailed:
            # Followed twice at once, or the account was changed meanwhile: the link tells which.
            if self._store.link(link.id) is None:
                raise _worthless() from None
            raise Conflict("The account was changed meanwhile; try again") from None

    def _change(self, user: User, fields: dict[str, object], event: Event, *also: Write) -> None:
        try:
            self._store.change(user, fields, self._clock(), event, *also)
        except PreconditionFailed:
            raise Conflict("The account was changed meanwhile; try again") from None

    def confirmed(self, caller: Principal, password: str, pointer: str) -> User:
        """Who signed in says his password again. Raises what `confirm` does."""
        user = self.present(caller)
        self.confirm(user, password, pointer)
        return user

    def confirm(self, user: User, password: str, pointer: str) -> None:
        """Raises Invalid for a wrong one: 401 would sign a client out."""
        reserved = self._attempts.confirm(user.id)
        if not self._passwords.verify(user.password_hash, password):
            raise Invalid(errors=[{"pointer": pointer, "message": "is not your password"}])
        self._attempts.confirmed(reserved)

    def present(self, caller: Principal) -> User:
        user = self._store.user(caller.user)
        if user is None or user.is_erasing:
            raise Unauthenticated
        return user

    def _hashes(self, address: str) -> Sequence[str]:
        return [mac.hex() for mac in self._keys.all_macs(ADDRESS, address_key(address))]


def _worthless() -> Invalid:
    message = "is used, too old, or not of a mail of ours"
    return Invalid(errors=[{"pointer": "/token", "message": message}])
