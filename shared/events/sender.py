"""Tells the platform's calls from forged ones by the OIDC token that Eventarc, Pub/Sub and
Scheduler put on them. Source: Google's "Authenticate service-to-service: validate ID tokens"."""

from __future__ import annotations

import threading
import time
from typing import Protocol

import jwt
import urllib3

from shared.errors import Unauthenticated, Unavailable

_ISSUER = "https://accounts.google.com"
# Seconds. The platform changes keys about daily and announces them a day ahead.
_KEYS_LIVE = 300.0
# At most one fetch in this time, or unknown key ids become a way to make us call out.
_KEYS_PAUSE = 10.0
_LEEWAY = 10


class SenderSettings(Protocol):
    platform_jwks_url: str
    platform_audience: str
    platform_caller: str


def platform_sender(settings: SenderSettings) -> PlatformSender | None:
    """None in the cloud: there IAM checks the caller before the function sees the request."""
    if not settings.platform_caller:
        return None
    return PlatformSender(
        settings.platform_jwks_url, settings.platform_audience, settings.platform_caller
    )


class PlatformSender:
    """Accepts RS256 tokens made for `audience` and the service account `caller`."""

    def __init__(self, jwks_url: str, audience: str, caller: str) -> None:
        self._url = jwks_url
        self._audience = audience
        self._caller = caller
        self._pool = urllib3.PoolManager(timeout=2.0, retries=1)
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = float("-inf")

    def check(self, token: str) -> None:
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self._key(str(header.get("kid", ""))).key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=_ISSUER,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "aud", "iss", "sub"]},
            )
        except jwt.PyJWTError:
            raise Unauthenticated from None
        if claims.get("email") != self._caller or claims.get("email_verified") is not True:
            raise Unauthenticated

    def _key(self, kid: str) -> jwt.PyJWK:
        with self._lock:
            age = time.monotonic() - self._fetched
            if age > _KEYS_LIVE or (kid not in self._keys and age > _KEYS_PAUSE):
                self._fetch()
            if kid not in self._keys:
                raise Unauthenticated
            return self._keys[kid]

    def _fetch(self) -> None:
        try:
            answer = self._pool.request("GET", self._url)
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            keys = jwt.PyJWKSet.from_json(answer.data.decode()).keys
            self._keys = {str(key.key_id): key for key in keys}
            self._fetched = time.monotonic()
        except (urllib3.exceptions.HTTPError, ValueError, UnicodeDecodeError, jwt.PyJWTError):
            # Keys fetched earlier go on serving through an outage of the key endpoint.
            if not self._keys:
                raise Unavailable("The platform's keys are out of reach") from None
