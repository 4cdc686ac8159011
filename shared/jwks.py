"""The public keys of an issuer, read from its JWKS address (RFC 7517). Technical: knows no
domain; what a key must look like is said by whoever verifies with it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import urllib3

from shared.cached import Cached
from shared.errors import Unavailable

K = TypeVar("K")

# Seconds. Issuers announce a key longer ahead than this and withdraw it longer after.
_LIVE = 300.0
# Seconds. Key ids come from strangers: unknown ones must not become a way to make us call out.
_PAUSE = 10.0
# Seconds. A key set comes in milliseconds; the caller of a cold function waits for it.
_TIMEOUT = urllib3.Timeout(connect=1.0, read=2.0)
# Bytes. A set of a dozen RSA keys with certificates stays below.
_LARGEST = 256 * 1024


class JWKS(Generic[K]):
    """`read` makes a key of one member of the set and raises ValueError for a foreign kind,
    which is then left out: an issuer may announce kinds that we do not use."""

    def __init__(
        self,
        url: str,
        read: Callable[[Mapping[str, Any]], K],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._read = read
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)
        self._keys = Cached(self._fetch, live=_LIVE, pause=_PAUSE, clock=clock)

    def key(self, kid: str) -> K | None:
        """None for an id that the issuer does not announce. Raises Unavailable as long as no key
        set was ever read."""
        return self._keys.get(lambda keys: kid in keys).get(kid)

    def _fetch(self) -> dict[str, K]:
        try:
            answer = self._pool.request("GET", self._url, preload_content=False)
            try:
                body = answer.read(_LARGEST + 1)
            finally:
                answer.release_conn()
            if answer.status != 200 or len(body) > _LARGEST:
                raise ValueError(f"status {answer.status}, {len(body)} bytes")
            return self._parse(body)
        except (urllib3.exceptions.HTTPError, ValueError, RecursionError) as error:
            raise Unavailable(f"The key set is out of reach ({type(error).__name__})") from None

    def _parse(self, body: bytes) -> dict[str, K]:
        """Raises ValueError for what holds no key of ours: better the keys of a minute ago. Only a
        set that says it is empty takes them all back."""
        document = json.loads(body)
        members = document.get("keys") if isinstance(document, dict) else None
        if members == []:
            return {}
        keys: dict[str, K] = {}
        for member in members if isinstance(members, list) else ():
            try:
                keys[member["kid"]] = self._read(member)
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
        if not keys:
            raise ValueError("no usable key")
        return keys
