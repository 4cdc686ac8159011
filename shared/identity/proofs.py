"""That a sign-in by another issuer ends where it began, and once.

`start` hands the client a proof and, made from it, the nonce for the issuer's token. The client
keeps the proof to itself: whoever gets hold of the token alone cannot use it. A proof is a MAC
over chance and time, so beginning costs no write; finishing writes it down for as long as it
would be good.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta

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


class Proofs:
    def __init__(
        self, documents: DocumentStore, keys: MACKeys, clock: Callable[[], datetime]
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._clock = clock

    def make(self) -> tuple[str, str]:
        """A proof and its nonce."""
        expires = int((self._clock() + LIFETIME).timestamp())
        signed = f"{secrets.token_urlsafe(16)}.{expires}.{(key := self._keys.current_id())}"
        proof = f"{signed}.{self._mac(key, signed)}"
        return proof, _nonce(proof)

    def nonce(self, proof: str) -> str:
        """Raises Unauthenticated for a proof that is none of ours, or too old."""
        found = _FORM.fullmatch(proof)
        if found is None:
            raise Unauthenticated
        expected = self._mac(int(found["key"]), proof.rpartition(".")[0])
        # Texts are compared, not bytes: 43 characters hold two bits more than a MAC has.
        if expected is None or not hmac.compare_digest(expected, found["mac"]):
            raise Unauthenticated
        if self._clock().timestamp() >= int(found["expires"]):
            raise Unauthenticated
        return _nonce(proof)

    def use(self, proof: str) -> None:
        """Raises Unauthenticated when it was used before."""
        now = self._clock()
        used = Create(f"signInProofs/{derived_id(proof)}", {"expireAt": now + LIFETIME})
        try:
            self._documents.commit([used])
        except AlreadyExists:
            raise Unauthenticated from None

    def _mac(self, key: int, signed: str) -> str | None:
        mac = self._keys.mac(key, _PURPOSE, signed)
        return None if mac is None else _text(mac)


def _nonce(proof: str) -> str:
    return _text(hashlib.sha256(proof.encode()).digest())


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
