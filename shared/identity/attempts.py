"""How often who may try what: the limits on guessing, on new accounts and on mail.

Nobody can lock the owner of an account out (docs/decisions/2026-11-rate-limits.md): a source that
has signed in to an account keeps a budget of its own there, whatever others do; only sources new
to the account share one. Addresses and sources are counted under keyed hashes, for an address that
nobody has exactly as for one that somebody has.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.documents import Count, DocumentStore
from shared.errors import TooManyRequests, Unavailable
from shared.http import Source
from shared.identity.addresses import address_key
from shared.identity.keys import MACKeys
from shared.limits import Limit, Limiter, Reserved

_TEN_MINUTES, _HOUR = 600, 3600
# Mistyping happens; 20 wrong guesses do not. 2,880 a day from one source is far below what a
# password of the least length would need.
_PAIR = Limit("sign-in-pair", 20, _TEN_MINUTES)
# All sources together that the account has never seen: NIST SP 800-63B allows 100 failures.
_STRANGERS = Limit("sign-in-strangers", 50, _HOUR)
# A source may be a house or an office: these are for each of its people.
_SIGN_INS, _REGISTRATIONS, _REQUESTS, _TOKENS = 5, 1, 1, 5
# Mails that one source can have sent to one address, and all sources together. Beyond, nothing
# more is sent and nobody is refused: each mail before holds a link that is still good.
_MAIL_PAIR = Limit("mail-pair", 5, _HOUR)
_MAIL_ALL = Limit("mail-all", 15, _HOUR)
# Signed in, but perhaps with a stolen token: guesses of the password.
_CONFIRMATIONS = Limit("confirm", 10, _TEN_MINUTES)
# A client needs one in ten minutes; tabs that start at once need several.
_REFRESHES = Limit("refresh", 120, _TEN_MINUTES)
_EXPORTS = Limit("export", 10, _HOUR)
# As long as a session lives: who signs in less often is a stranger again.
_KNOWN_FOR = timedelta(days=30)
_PURPOSE = "rate-limit"


@dataclass(frozen=True, slots=True)
class SignIn:
    address: str
    source: Source
    reserved: tuple[Reserved, ...]


class Attempts:
    """Every method that reserves raises TooManyRequests, and Unavailable without a database.
    `people` is how many may share one source."""

    def __init__(
        self,
        documents: DocumentStore,
        keys: MACKeys,
        *,
        people: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._limiter = Limiter(documents, clock)
        self._clock = clock
        self._sign_ins = Limit("sign-in-source", _SIGN_INS * people, _TEN_MINUTES)
        self._registrations = Limit("register-source", _REGISTRATIONS * people, _HOUR)
        self._requests = Limit("request-source", _REQUESTS * people, _TEN_MINUTES)
        self._tokens = Limit("token-source", _TOKENS * people, _TEN_MINUTES)

    def sign_in(self, address: str, source: Source) -> SignIn:
        """Reserves one guess, before any work is done for it."""
        own = self._limiter.reserve(
            (_PAIR, self._key(address_key(address), source.network)),
            (self._sign_ins, self._key(source.network)),
        )
        if self._knows(address, source):
            return SignIn(address, source, (own,))
        # Only now, so that one flooding source counts no more than its own share here.
        shared = self._limiter.reserve((_STRANGERS, self._key(address_key(address))))
        return SignIn(address, source, (own, shared))

    def succeeded(self, attempt: SignIn) -> None:
        """It was no guess. What hinders this hinders no sign-in."""
        with suppress(Unavailable):
            known = self._known(attempt.address, attempt.source)
            self._limiter.give_back(*attempt.reserved, also=[known])

    def remember(self, address: str, source: Source) -> None:
        """The owner of `address` is at `source`, as his mailbox proves."""
        with suppress(Unavailable):
            self._documents.count([self._known(address, source)])

    def register(self, source: Source) -> None:
        self._limiter.reserve((self._registrations, self._key(source.network)))

    def request(self, source: Source) -> None:
        """Something that sends mail to an address of the caller's choice."""
        self._limiter.reserve((self._requests, self._key(source.network)))

    def may_mail(self, address: str, source: Source) -> bool:
        try:
            self._limiter.reserve(
                (_MAIL_PAIR, self._key(address_key(address), source.network)),
                (_MAIL_ALL, self._key(address_key(address))),
            )
        except TooManyRequests:
            return False
        return True

    def redeem(self, source: Source) -> None:
        """A link's token; forged ones are refused before they are counted."""
        self._limiter.reserve((self._tokens, self._key(source.network)))

    def confirm(self, user_id: str) -> Reserved:
        """The password of somebody who is signed in."""
        return self._limiter.reserve((_CONFIRMATIONS, user_id))

    def confirmed(self, reserved: Reserved) -> None:
        with suppress(Unavailable):
            self._limiter.give_back(reserved)

    def refresh(self, session_id: str) -> None:
        self._limiter.reserve((_REFRESHES, session_id))

    def export(self, user_id: str) -> None:
        self._limiter.reserve((_EXPORTS, user_id))

    def _knows(self, address: str, source: Source) -> bool:
        macs = self._keys.all_macs(_PURPOSE, _message(address_key(address), source.network))
        found = self._documents.get_all(f"rateLimits/known-{_hex(mac)}" for mac in macs)
        return any(one.data["expireAt"] > self._clock() for one in found.values())

    def _known(self, address: str, source: Source) -> Count:
        key = self._key(address_key(address), source.network)
        return Count(f"rateLimits/known-{key}", {"expireAt": self._clock() + _KNOWN_FOR})

    def _key(self, *parts: str) -> str:
        mac = self._keys.mac(self._keys.current_id(), _PURPOSE, _message(*parts))
        if mac is None:
            raise Unavailable("The key was disabled this moment")
        return _hex(mac)


def _message(*parts: str) -> str:
    return "\0".join(parts)


def _hex(mac: bytes) -> str:
    """128 bits: two never meet by chance."""
    return mac[:16].hex()
