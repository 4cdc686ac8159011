"""CORS by an allow-list of exact origins (Fetch standard); `*` and `null` are never allowed.

No `Access-Control-Allow-Credentials`: callers send a bearer token, so a browser has no
ambient credential that another site could use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from werkzeug.datastructures import Headers

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?")

# An hour: long enough to spare preflights, short enough to take an origin off the list.
_MAX_AGE = "3600"
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, "
    "Traceparent, X-Request-Id"
)
_EXPOSED_HEADERS = (
    "Content-Disposition, ETag, Location, Preference-Applied, Retry-After, X-Request-Id"
)


class CORS:
    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)
        for origin in self._origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"not an origin: {origin!r} (scheme://host[:port], no *)")

    def decorate(self, headers: Headers, origin: str | None) -> None:
        """Vary is set for every answer, or a cache would hand one origin's to another."""
        headers.add("Vary", "Origin")
        if origin in self._origins and origin is not None:
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS

    def preflight(self, headers: Headers, origin: str | None, allowed: str) -> None:
        if origin in self._origins:
            headers["Access-Control-Allow-Methods"] = allowed
            headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = _MAX_AGE
