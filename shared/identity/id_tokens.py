"""ID tokens of another issuer (OpenID Connect Core 1.0, section 3.1.3.7), verified in one place.

RS256 alone is taken, whatever a token says of itself, and every claim that decides something must
be there in its exact type. The signature is checked before any claim is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from shared.errors import MalformedRequest, Unauthenticated
from shared.identity.addresses import checked_address
from shared.identity.tokens import decoded, members

GOOGLE = "https://accounts.google.com"
# Characters; Google's have about 1,200. What is longer only costs time to refuse.
LONGEST = 8192
# Seconds by which the issuer's clock may differ from ours.
_LEEWAY = 30
# Google's live an hour; nobody's need be good for longer than a day.
_LONGEST_LIFE = timedelta(days=1)
# OpenID Connect Core, section 2: at most 255 ASCII characters.
_SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")
# Bits. Below, a signature could be made by others (NIST SP 800-131A); above, checking is slow.
_KEY_SIZES = range(2048, 8192 + 1)
_GOOGLE_MAIL = ("gmail.com", "googlemail.com")


class PublicKeys(Protocol):
    def key(self, kid: str) -> RSAPublicKey | None:
        """None for an id that the issuer does not announce; raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Proved:
    """Whom the issuer knows. `email` is set only when the issuer vouches that it is his now."""

    issuer: str
    subject: str
    email: str | None


class IDTokens:
    def __init__(
        self,
        issuer: str,
        client_id: str,
        keys: PublicKeys,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self._keys = keys
        self._clock = clock

    def verify(self, token: str, nonce: str) -> Proved:
        """Raises Unauthenticated, and Unavailable when the keys were never in reach."""
        try:
            claims = self._claims(token)
            self._check(claims, nonce)
            return Proved(self.issuer, claims["sub"], self._address(claims))
        except (ValueError, InvalidSignature, MalformedRequest):
            raise Unauthenticated from None

    def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > LONGEST or token.count(".") != 2:
            raise ValueError("not a token")
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        key = self._keys.key(_kid(members(header)))
        if key is None:
            raise ValueError("an unknown key")
        key.verify(decoded(signature), signed.encode(), PKCS1v15(), SHA256())
        return members(payload)

    def _check(self, claims: Mapping[str, Any], nonce: str) -> None:
        if claims.get("iss") != self.issuer:
            raise ValueError("another issuer")
        # For us alone: a token for several could be passed on by any of them.
        if claims.get("aud") not in (self.client_id, [self.client_id]):
            raise ValueError("for somebody else")
        if claims.get("azp", self.client_id) != self.client_id:
            raise ValueError("given to somebody else")
        if claims.get("nonce") != nonce:
            raise ValueError("not of this sign-in")
        subject = claims.get("sub")
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise ValueError("names nobody")
        self._check_time(claims)

    def _check_time(self, claims: Mapping[str, Any]) -> None:
        now = self._clock().timestamp()
        issued, expires = claims.get("iat"), claims.get("exp")
        # A bool is an int to Python, and no time to anybody.
        if type(issued) is not int or type(expires) is not int:
            raise ValueError("iat and exp are whole seconds")
        if not issued - _LEEWAY <= now < expires + _LEEWAY:
            raise ValueError("not valid now")
        if not 0 < expires - issued <= _LONGEST_LIFE.total_seconds():
            raise ValueError("valid for too long")

    def _address(self, claims: Mapping[str, Any]) -> str | None:
        """None unless the issuer vouches for it. Google verifies an address once; only for its
        own mail and for the domains it hosts does it know whose the address is today. Source:
        Google Identity, "Verify the Google ID token on your server side"."""
        email = claims.get("email")
        if claims.get("email_verified") is not True or not isinstance(email, str):
            return None
        try:
            email = checked_address(email)
        except ValueError:
            # Nobody can be found by it, or be written to; his subject still says who he is.
            return None
        domain = email.rpartition("@")[2]
        if self.issuer == GOOGLE and domain not in _GOOGLE_MAIL and claims.get("hd") != domain:
            return None
        return email


def read_rsa_jwk(jwk: Mapping[str, Any]) -> RSAPublicKey:
    """Raises ValueError for anything but an RSA key for RS256 signatures (RFC 7518)."""
    if jwk.get("kty") != "RSA" or jwk.get("use", "sig") != "sig" or jwk.get("alg") != "RS256":
        raise ValueError("not a key for RS256")
    modulus, exponent = (int.from_bytes(decoded(str(jwk[name]))) for name in ("n", "e"))
    if modulus.bit_length() not in _KEY_SIZES:
        raise ValueError("a key of another size")
    return RSAPublicNumbers(exponent, modulus).public_key()


def _kid(header: Mapping[str, Any]) -> str:
    kid = header.get("kid")
    if header.get("alg") != "RS256" or header.get("typ", "JWT") != "JWT" or "crit" in header:
        raise ValueError("another kind of token")
    if not isinstance(kid, str) or not kid:
        raise ValueError("names no key")
    return kid
