"""That a sign-in by another issuer ends where it began, and once.

Whoever begins is handed a proof and, made from it, what the issuer is told: the nonce of its
token, the state of the redirect, the hash of the code's verifier. The proof itself goes to nobody
else, so whoever gets hold of the token or the code alone cannot use it. A proof is a MAC over
chance and time, and over the session that it is for where it is for one; so beginning costs no
write, and finishing writes it down for as long as it would be good.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.documents import AlreadyExists, Create, DocumentStore
from shared.errors import Unauthenticated
from shared.identity.keys import MACKeys
from shared.ids import derived_id

# As long as somebody may need to choose an account and prove himself to the issuer.
LIFETIME = timedelta(minutes=10)
_PURPOSE = "provider-sign-in"
_FORM = re.compile(
    r"(?P<chance>[A-Za-z0-9_-]{22})\.(?P<expires>[1-9][0-9]{9})\.(?P<key>[1-9][0-9]{0,9})"
    r"\.(?P<mac>[A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True, slots=True)
class Proof:
    text: str = field(repr=False)

    @property
    def nonce(self) -> str:
        return _hash(self.text)

    @property
    def state(self) -> str:
        return _hash(f"state.{self.text}")

    @property
    def verifier(self) -> str:
        """Of the code (RFC 7636), 43 characters."""
        return _hash(f"verifier.{self.text}")

    @property
    def challenge(self) -> str:
        return _hash(self.verifier)


class Proofs:
    """`bound` is what a proof is for, besides signing in: it is good for that alone."""

    def __init__(
        self,
        documents: DocumentStore,
        keys: MACKeys,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._clock = clock

    def make(self, bound: str = "") -> Proof:
        expires = int((self._clock() + LIFETIME).timestamp())
        signed = f"{secrets.token_urlsafe(16)}.{expires}.{(key := self._keys.current_id())}"
        return Proof(f"{signed}.{self._mac(key, signed, bound)}")

    def read(self, text: str, bound: str = "") -> Proof:
        """Raises Unauthenticated for a proof that is none of ours, too old, or for another end."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise Unauthenticated
        expected = self._mac(int(found["key"]), text.rpartition(".")[0], bound)
        # Texts are compared, not bytes: 43 characters hold two bits more than a MAC has.
        if expected is None or not hmac.compare_digest(expected, found["mac"]):
            raise Unauthenticated
        if self._clock().timestamp() >= int(found["expires"]):
            raise Unauthenticated
        return Proof(text)

    def use(self, proof: Proof) -> None:
        """Raises Unauthenticated when it was used before."""
        now = self._clock()
        used = Create(f"signInProofs/{derived_id(proof.text)}", {"expireAt": now + LIFETIME})
        try:
            self._documents.commit([used])
        except AlreadyExists:
            raise Unauthenticated from None

    def _mac(self, key: int, signed: str, bound: str) -> str | None:
        mac = self._keys.mac(key, f"{_PURPOSE}:{bound}", signed)
        return None if mac is None else _text(mac)


def _hash(text: str) -> str:
    return _text(hashlib.sha256(text.encode()).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
