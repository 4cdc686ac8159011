"""Access tokens of the service account that a function runs as, from its metadata server.

Our own few lines, because google-auth brings key files, X.509 and its own retries along, a tenth
of a cold start. Source: "Authenticate workloads: access tokens from the metadata server".
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Protocol

import urllib3

from shared.errors import Unavailable

_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"
# Seconds. It is on the same machine; one lost answer is asked for again.
_TIMEOUT = urllib3.Timeout(connect=0.5, read=1.0)
_TRIES = 2
# The server itself hands out a new token when the old one has less than five minutes left.
_RENEW = 240.0
# With less than this a token may end before the call that carries it.
_LAST = 10.0


class AccessTokens(Protocol):
    def token(self) -> str:
        """One that lives at least some seconds; raises Unavailable."""
        ...


class MetadataTokens:
    """Keeps a token for most of its life; an outage of the server is bridged by the old one."""

    def __init__(self) -> None:
        host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
        self._url = f"http://{host}{_PATH}"
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._lock = threading.Lock()
        self._token = ""
        self._ends = 0.0

    def token(self) -> str:
        # Everybody waits for the one who asks: without a token nobody gets further anyway.
        with self._lock:
            if self._ends - time.monotonic() < _RENEW:
                self._renew()
            return self._token

    def _renew(self) -> None:
        for _ in range(_TRIES):
            asked = time.monotonic()
            try:
                answer = self._pool.request("GET", self._url, headers={"Metadata-Flavor": "Google"})
                if answer.status == 200:
                    body = json.loads(answer.data)
                    self._token = str(body["access_token"])
                    self._ends = asked + float(body["expires_in"])
                    return
            except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
                continue
        if self._ends - time.monotonic() < _LAST:
            raise Unavailable("The metadata server does not answer")
