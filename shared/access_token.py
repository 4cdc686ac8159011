"""Tokens of the service account that a function runs as, from its metadata server: access tokens
for Google's services, ID tokens for services of our own behind Cloud Run's check of callers.

Our own few lines, because google-auth brings key files, X.509 and its own retries along, a tenth
of a cold start. Sources: "Authenticate workloads: access tokens from the metadata server",
"Cloud Run: Authenticating service-to-service".
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from typing import NamedTuple, Protocol
from urllib.parse import quote

import urllib3

from shared.cached import Cached
from shared.errors import Unavailable

_PATH = "/computeMetadata/v1/instance/service-accounts/default/"
_JWT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")
# Seconds. It is on the same machine; one lost answer is asked for again.
_TIMEOUT = urllib3.Timeout(connect=0.5, read=1.0)
_TRIES = 2
# Seconds. The server gives no token with less than five minutes left, so one asked for this long
# ago has three; that bridges an outage of the server, which is then asked once in `_PAUSE`.
_LIVE = 120.0
_PAUSE = 2.0
# With less than this a token may end before the call that carries it.
_LAST = 10.0


class AccessTokens(Protocol):
    def token(self) -> str:
        """One that lives at least some seconds; raises Unavailable."""
        ...


class _Token(NamedTuple):
    text: str
    ends: float

    def lasts(self) -> bool:
        return self.ends - time.monotonic() > _LAST


class _FromMetadata:
    """Keeps a token for as long as the server surely stands by it, and longer in an outage."""

    def __init__(self, path: str) -> None:
        host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        self._url = f"http://{host}{_PATH}{path}"
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._kept = Cached(self._fetch, live=_LIVE, pause=_PAUSE)

    def token(self) -> str:
        kept = self._kept.get(_Token.lasts)
        if not kept.lasts():
            raise Unavailable("The metadata server does not answer")
        return kept.text

    def _fetch(self) -> _Token:
        for _ in range(_TRIES):
            asked = time.monotonic()
            try:
                answer = self._pool.request("GET", self._url, headers={"Metadata-Flavor": "Google"})
                if answer.status == 200:
                    return self._read(answer.data, asked)
            except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
                continue
        raise Unavailable("The metadata server does not answer")

    def _read(self, body: bytes, asked: float) -> _Token:
        """Raises ValueError, KeyError and TypeError for what is no token."""
        raise NotImplementedError


class MetadataTokens(_FromMetadata):
    """Access tokens."""

    def __init__(self) -> None:
        super().__init__("token")

    def _read(self, body: bytes, asked: float) -> _Token:
        answer = json.loads(body)
        return _Token(str(answer["access_token"]), asked + float(answer["expires_in"]))


class MetadataIDTokens(_FromMetadata):
    """ID tokens for one audience: whoever takes them can tell which account of ours calls."""

    def __init__(self, audience: str) -> None:
        super().__init__(f"identity?audience={quote(audience, safe='')}")

    def _read(self, body: bytes, asked: float) -> _Token:
        text = body.decode().strip()
        if not _JWT.fullmatch(text):
            raise ValueError("no token")
        claims = text.split(".")[1]
        # Read for its end alone; whether it is genuine is its taker's question.
        ends = float(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])
        return _Token(text, asked + ends - time.time())
