"""Sends the mails that are wanted, each once as far as that can be known.

Delivered again after a crash, a mail goes out again with the same id and the same link; delivered
twice at once, one of the two waits. A server that takes no mail now makes the delivery fail, and
the subscription tries again for about half an hour before it is a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from shared.errors import Unavailable
from shared.events.model import Delivered
from shared.identity import letters
from shared.identity.addresses import address_key
from shared.identity.keys import MACKeys
from shared.identity.letters import Letter
from shared.identity.links import LinkTokens, Purpose
from shared.identity.mails import MailRequested, MailStore, Outcome, WantedMail
from shared.identity.model import User
from shared.identity.store import ADDRESS, IdentityStore
from shared.ids import checked_id
from shared.mail import Mail, Mailer, MailRefused


class Post:
    """`app_url` is where the app is, without a slash at the end."""

    def __init__(
        self,
        mails: MailStore,
        users: IdentityStore,
        keys: MACKeys,
        mailer: Mailer,
        app_url: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._mails = mails
        self._users = users
        self._keys = keys
        self._tokens = LinkTokens(keys)
        self._mailer = mailer
        self._app_url = app_url
        self._clock = clock

    def deliver(self, event: Delivered) -> None:
        """Raises Unavailable to be called again."""
        if event.type != MailRequested.type:
            return
        mail = self._mails.claim(checked_id(event.id), self._clock())
        if mail is None:
            return
        try:
            user, outcome = self._send(mail)
        except Exception:
            with suppress(Exception):
                self._mails.release(mail)
            raise
        self._mails.finish(mail, user.id if user else "", outcome, self._clock())

    def _send(self, mail: WantedMail) -> tuple[User | None, Outcome]:
        user = self._owner(mail)
        letter = _letter(mail, user)
        token = None if letter is None else self._token(mail, user, letter)
        if letter is None or token is None:
            return user, "nobody"
        subject = letters.subject(letter)
        text = letters.text(letter, self._app_url, token)
        try:
            self._mailer.send(Mail(mail.id, _recipient(mail, user), subject, text))
        except MailRefused:
            return user, "refused"
        return user, "sent"

    def _owner(self, mail: WantedMail) -> User | None:
        """Of the address where the mail is about that; else who wanted it."""
        if mail.user is not None and mail.kind != "email-change":
            return self._users.user(mail.user)
        macs = self._keys.all_macs(ADDRESS, address_key(mail.email))
        return self._users.user_by_address([mac.hex() for mac in macs])

    def _token(self, mail: WantedMail, user: User | None, letter: Letter) -> str | None:
        """None when the account is no more what it was when it wanted the mail: whoever was shut
        out since, must not be let in by a mail that was slow."""
        purposes: dict[Letter, Purpose] = {
            "verify": "verify-email",
            "reset": "reset-password",
            "change": "change-email",
        }
        purpose = purposes.get(letter)
        if purpose is None:
            return ""
        if purpose == "change-email":
            user = self._users.user(mail.user or "")
            if user is None or user.state != mail.state:
                return None
        if user is None:
            raise Unavailable("The user went away this moment")
        link_id = self._users.make_link(
            purpose, user, mail.id, mail.email if purpose == "change-email" else None, self._clock()
        )
        return self._tokens.make(link_id, purpose)


def _recipient(mail: WantedMail, user: User | None) -> str:
    """Where the account is what was asked for by an address, the account's own, as it was proved:
    two addresses that are the same to us may be two mailboxes to a provider."""
    is_asked_by_address = mail.kind in ("registration", "password-reset")
    return user.email if user is not None and is_asked_by_address else mail.email


def _letter(mail: WantedMail, user: User | None) -> Letter | None:
    if mail.kind == "email-change":
        return "taken" if user is not None else "change"
    if mail.kind in ("password-changed", "email-changed", "account-erased"):
        return mail.kind
    if mail.kind in ("identity-linked", "identity-unlinked"):
        return mail.kind
    if user is None or user.is_erasing:
        return None
    if mail.kind == "password-reset":
        return "reset"
    return "known" if user.is_verified else "verify"
