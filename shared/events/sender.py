"""Tells the platform's calls from forged ones by the OIDC token that Eventarc, Pub/Sub and
Scheduler put on them. Source: Google's "Authenticate service-to-service: validate ID tokens"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jwt

from shared.errors import Unauthenticated
from shared.jwks import JWKS

_ISSUER = "https://accounts.google.com"
# Seconds by which the platform's clock may differ from ours.
_LEEWAY = 10


class PlatformSender:
    """Accepts RS256 tokens made for `audience` and the service account `caller`."""

    def __init__(self, jwks_url: str, audience: str, caller: str) -> None:
        self._keys = JWKS(jwks_url, _read_jwk)
        self._audience = audience
        self._caller = caller

    def check(self, token: str) -> None:
        """Raises Unauthenticated, and Unavailable when the keys were never in reach."""
        try:
            claims = self._claims(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise Unauthenticated from None
        if claims.get("email") != self._caller or claims.get("email_verified") is not True:
            raise Unauthenticated

    def _claims(self, token: str) -> Mapping[str, Any]:
        kid = jwt.get_unverified_header(token).get("kid")
        key = self._keys.key(kid) if isinstance(kid, str) else None
        if key is None:
            raise Unauthenticated
        claims: Mapping[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=["RS256"],
            audience=self._audience,
            issuer=_ISSUER,
            leeway=_LEEWAY,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
        return claims


def _read_jwk(jwk: Mapping[str, Any]) -> jwt.PyJWK:
    """Raises ValueError for anything but an RSA key."""
    if jwk.get("kty") != "RSA":
        raise ValueError("not an RSA key")
    try:
        return jwt.PyJWK(dict(jwk))
    except jwt.PyJWTError as error:
        raise ValueError(str(error)) from None
