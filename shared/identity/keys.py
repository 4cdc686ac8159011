"""The keys of identity, as versions of a secret: rotating is adding one and, later, disabling one.

A new version is announced before it signs, because other processes learn of it by reading again.
Whoever verifies takes every enabled version, so disabling one is what makes its work invalid.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.cached import Cached
from shared.errors import Unavailable
from shared.identity.model import JWK
from shared.secrets import Secrets

K = TypeVar("K")
_log = logging.getLogger(__name__)

# Seconds between two looks at the list of versions.
_LIVE = 300.0
_PAUSE = 10.0
# A version is known to all after: our own look (5 min), the key set in a cache (5 min) and a
# verifier's look (5 min). Then it may sign.
ANNOUNCED = timedelta(minutes=20)
# RFC 2104: a key shorter than the hash weakens it.
_MAC_KEY = 32


@dataclass(frozen=True, slots=True)
class Version(Generic[K]):
    number: int
    created: datetime
    key: K


class KeyRing(Generic[K]):
    """All enabled versions of one secret. `read` raises ValueError for a payload that is no key,
    which is then left out: one bad version must not take the good ones along."""

    def __init__(
        self,
        secrets: Secrets,
        secret: str,
        read: Callable[[bytes], K],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._secrets = secrets
        self._secret = secret
        self._read = read
        self._clock = clock
        self._known: dict[str, Version[K]] = {}
        self._cached = Cached(self._fetch, live=_LIVE, pause=_PAUSE, clock=ticks)

    def enabled(self) -> tuple[Version[K], ...]:
        """The newest first. Raises Unavailable when the secrets were never in reach."""
        return self._cached.get(bool)

    def all(self) -> tuple[Version[K], ...]:
        """The enabled ones, of which there is at least one; else raises Unavailable."""
        versions = self.enabled()
        if not versions:
            raise Unavailable("No key can be read")
        return versions

    def current(self) -> Version[K]:
        """The newest that everybody knows; in a new project the first one, known or not."""
        versions = self.all()
        since = self._clock() - ANNOUNCED
        return next((one for one in versions if one.created <= since), versions[-1])

    def _fetch(self) -> tuple[Version[K], ...]:
        listed = self._secrets.versions(self._secret)
        # A payload never changes, so only new versions are read.
        self._known = {
            one.name: version
            for one in listed
            if (
                version := self._known.get(one.name)
                or self._load(one.name, one.number, one.created)
            )
        }
        # None at all is an answer too, no outage: whoever disabled a stolen key means it.
        return tuple(self._known.values())

    def _load(self, name: str, number: int, created: datetime) -> Version[K] | None:
        payload = self._secrets.access(name)
        if payload is None:
            return None
        try:
            return Version(number, created, self._read(payload))
        except ValueError:
            _log.error("keys: %s holds no key of the expected kind", name)
            return None


@dataclass(frozen=True, slots=True)
class SigningKey:
    """`kid` is the public key's thumbprint (RFC 7638)."""

    kid: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    jwk: JWK


class SigningKeys:
    """The signing key, and the public ones; a `tokens.PublicKeys` that needs no HTTP."""

    def __init__(self, ring: KeyRing[SigningKey]) -> None:
        self._ring = ring

    def current(self) -> SigningKey:
        return self._ring.current().key

    def jwks(self) -> tuple[JWK, ...]:
        """Empty when all are disabled, so that verifiers forget them as well."""
        return tuple(one.key.jwk for one in self._ring.enabled())

    def public_key(self, kid: str) -> Ed25519PublicKey | None:
        return next((one.key.public for one in self._ring.all() if one.key.kid == kid), None)


class MACKeys:
    """Keyed hashes, told apart by purpose, so that one is never taken for another."""

    def __init__(self, ring: KeyRing[bytes]) -> None:
        self._ring = ring

    def current_id(self) -> int:
        return self._ring.current().number

    def mac(self, key_id: int, purpose: str, message: str) -> bytes | None:
        """None when there is no such key (any more)."""
        found = next((one.key for one in self._ring.all() if one.number == key_id), None)
        return None if found is None else _mac(found, purpose, message)

    def all_macs(self, purpose: str, message: str) -> tuple[bytes, ...]:
        """Under every enabled key, the newest first."""
        return tuple(_mac(one.key, purpose, message) for one in self._ring.all())


def signing_keys(secrets: Secrets, secret: str) -> SigningKeys:
    return SigningKeys(KeyRing(secrets, secret, read_signing_key))


def mac_keys(secrets: Secrets, secret: str) -> MACKeys:
    return MACKeys(KeyRing(secrets, secret, read_mac_key))


def read_signing_key(pem: bytes) -> SigningKey:
    """From PKCS#8 PEM. Raises ValueError for anything but Ed25519."""
    try:
        private = load_pem_private_key(pem, password=None)
    except (TypeError, ValueError):
        raise ValueError("not a private key in PEM") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError("not Ed25519")
    public = private.public_key()
    x = _base64url(public.public_bytes_raw())
    # RFC 7638: the required members in alphabetical order, without white space.
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    kid = _base64url(hashlib.sha256(members.encode()).digest())
    return SigningKey(kid, private, public, JWK(kid=kid, x=x))


def read_mac_key(payload: bytes) -> bytes:
    if len(payload) < _MAC_KEY:
        raise ValueError("too short")
    return payload


def _mac(key: bytes, purpose: str, message: str) -> bytes:
    return hmac.digest(key, f"{purpose}\0{message}".encode(), "sha256")


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
