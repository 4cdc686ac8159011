"""Access tokens: Ed25519-signed JWTs (RFC 9068), made in one place and verified in one place.

Nothing is negotiated: a token of ours has exactly one form, its algorithm is the key's, and what
differs in any byte is refused. The signature is checked before any claim is read.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.errors import MalformedRequest, NotFound, Unauthenticated
from shared.http import Principal
from shared.http.json import loads
from shared.ids import checked_id
from shared.jwks import JWKS

AUDIENCE = "snaptask-api"
# A token cannot be taken back: this is how long a signed-out device can still read.
LIFETIME = timedelta(minutes=10)
# Seconds by which the clocks of two functions may differ.
_LEEWAY = 10
_TYPE = "at+jwt"
_ALGORITHM = "EdDSA"
# Ours have about 440 characters.
_LONGEST = 1024
# Tokens whose signature was good, the oldest of which goes first: a verification is a tenth of the
# CPU of a small request, and a page asks many with one token. About 2 KB each.
_MOST = 1024
_Verified = tuple[str, Ed25519PublicKey, Mapping[str, Any]]
"""The id of the key, the key itself, the claims."""
_KID = re.compile(r"[A-Za-z0-9_-]{43}")


class SigningKey(Protocol):
    @property
    def kid(self) -> str: ...

    @property
    def private(self) -> Ed25519PrivateKey: ...


class CurrentKey(Protocol):
    def current(self) -> SigningKey:
        """Raises Unavailable."""
        ...


class PublicKeys(Protocol):
    def public_key(self, kid: str) -> Ed25519PublicKey | None:
        """None for an id that the issuer does not announce; raises Unavailable when there is no
        knowing."""
        ...


class TokenSigner:
    def __init__(
        self,
        keys: CurrentKey,
        issuer: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock

    def prepare(self) -> None:
        """Raises Unavailable now rather than after a refresh token was used up."""
        self._keys.current()

    def sign(self, user: str, session: str) -> str:
        key = self._keys.current()
        now = int(self._clock().timestamp())
        header = {"alg": _ALGORITHM, "kid": key.kid, "typ": _TYPE}
        claims = {
            "iss": self._issuer,
            "sub": user,
            "sid": session,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + int(LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(12),
        }
        signed = f"{_part(header)}.{_part(claims)}"
        return f"{signed}.{_encode(key.private.sign(signed.encode()))}"


class TokenVerifier:
    """Takes the tokens of `issuer` that are valid now; a shared.http Authenticator."""

    def __init__(
        self,
        keys: PublicKeys,
        issuer: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Verified] = OrderedDict()

    def authenticate(self, bearer: str) -> Principal:
        """Raises Unauthenticated, and Unavailable when the issuer's keys were never in reach."""
        try:
            claims = self._claims(bearer)
        except (ValueError, InvalidSignature, MalformedRequest, NotFound):
            raise Unauthenticated from None
        return Principal(claims["sub"], claims["sid"], claims)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """Signed by a key that the issuer announces now, and valid now, each time it is asked;
        only what cannot change, that this key signed these bytes, is remembered."""
        known = self._known.get(token)
        if known is not None and self._keys.public_key(known[0]) is known[1]:
            claims = known[2]
        else:
            kid, key, claims = self._verified(token)
            self._remember(token, (kid, key, claims))
        self._check(claims)
        return claims

    def _verified(self, token: str) -> _Verified:
        if len(token) > _LONGEST or token.count(".") != 2:
            raise ValueError("not a token of ours")
        signed, _, signature = token.rpartition(".")
        header, _, payload = signed.partition(".")
        kid = _kid(members(header))
        key = self._keys.public_key(kid)
        if key is None:
            raise ValueError("an unknown key")
        key.verify(decoded(signature), signed.encode())
        return kid, key, members(payload)

    def _remember(self, token: str, verified: _Verified) -> None:
        with self._lock:
            self._known[token] = verified
            if len(self._known) > _MOST:
                self._known.popitem(last=False)

    def _check(self, claims: Mapping[str, Any]) -> None:
        now = self._clock().timestamp()
        issued, expires = claims.get("iat"), claims.get("exp")
        # A bool is an int to Python, and no time to anybody.
        if type(issued) is not int or type(expires) is not int:
            raise ValueError("iat and exp are whole seconds")
        if not issued - _LEEWAY <= now < expires + _LEEWAY or expires <= issued:
            raise ValueError("not valid now")
        if claims.get("iss") != self._issuer or claims.get("aud") != AUDIENCE:
            raise ValueError("made by or for somebody else")
        for name in ("sub", "sid"):
            if not isinstance(claims.get(name), str):
                raise ValueError("names nobody")
            checked_id(claims[name])


class JwksKeys:
    """The issuer's public keys, read from `jwks_url`."""

    def __init__(self, jwks_url: str) -> None:
        self._keys = JWKS(jwks_url, _read_jwk)

    def public_key(self, kid: str) -> Ed25519PublicKey | None:
        return self._keys.key(kid)


def _read_jwk(jwk: Mapping[str, Any]) -> Ed25519PublicKey:
    """Raises ValueError for anything but a public Ed25519 key (RFC 8037)."""
    if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519") or not isinstance(jwk["x"], str):
        raise ValueError("not an Ed25519 key")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", _ALGORITHM) != _ALGORITHM:
        raise ValueError("for another use")
    return Ed25519PublicKey.from_public_bytes(decoded(jwk["x"]))


def _kid(header: Mapping[str, Any]) -> str:
    """Members that we do not write could mean something (`crit`, `b64`, `jwk`): none is taken."""
    kid = header.get("kid")
    if header.keys() != {"alg", "kid", "typ"} or not isinstance(kid, str):
        raise ValueError("another header")
    if header["alg"] != _ALGORITHM or header["typ"] != _TYPE or not _KID.fullmatch(kid):
        raise ValueError("another header")
    return kid


def members(part: str) -> Mapping[str, Any]:
    value = loads(decoded(part))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _part(members: Mapping[str, Any]) -> str:
    return _encode(json.dumps(members, separators=(",", ":")).encode())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> bytes:
    """Base64url in its one canonical form, or two texts would be one token. Raises ValueError."""
    raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if _encode(raw) != part:
        raise ValueError("not canonical")
    return raw
