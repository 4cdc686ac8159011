"""Access tokens of the service account that a function runs as, from its metadata server.

Our own few lines, because google-auth brings key files, X.509 and its own retries along, a tenth
of a cold start. Source: "Authenticate workloads: access tokens from the metadata server".
"""

from __future__ import annotations

import json
import os
import time
from typing import NamedTuple, Protocol

import urllib3

from shared.cached import Cached
from shared.errors import Unavailable

_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
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


class MetadataTokens:
    """Keeps a token for as long as the server surely stands by it, and longer in an outage."""

    def __init__(self) -> None:
        host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        self._url = f"http://{host}{_PATH}"
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
                    body = json.loads(answer.data)
                    return _Token(str(body["access_token"]), asked + float(body["expires_in"]))
            except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
                continue
        raise Unavailable("The metadata server does not answer")
