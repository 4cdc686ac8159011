"""The refresh token of a browser: in a cookie that no script can read and no other site can send.

`__Host-` makes browsers refuse the cookie unless it is Secure, for this host alone and for all of
its paths, so no neighbouring host can plant one. SameSite=Strict keeps it off other sites'
requests; on top of that, a request that uses it must come from an origin of ours and carry a
header that a page of another site cannot send without our leave (CORS). Source: "RFC 6265bis",
section 4.1.3; OWASP Cross-Site Request Forgery Prevention Cheat Sheet.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.errors import Forbidden, MalformedRequest
from shared.identity.model import AccessToken, TokenPair
from shared.identity.sessions import IDLE

NAME = "__Host-snaptask-refresh"
# A browser calls a plain http://localhost and http://127.0.0.1 secure as well.
_ATTRIBUTES = "; Path=/; Secure; HttpOnly; SameSite=Strict"
# As long as an unused session; the server knows better when it ends earlier.
_MAX_AGE = int(IDLE.total_seconds())


class RefreshCookies:
    """`origins` are those of our own pages."""

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(origins)

    def check(self, origin: str | None, site: str | None) -> None:
        """Raises Forbidden unless a page of ours sent the request. Browsers tell the origin with
        every POST; `site` (Sec-Fetch-Site) they tell since 2023, and none of them lies."""
        if origin not in self._origins or site not in (None, "same-origin"):
            raise Forbidden("Only our own pages may use the cookie")

    def token(
        self, body: object | None, origin: str | None, site: str | None, cookie: str | None
    ) -> str | None:
        """None without a cookie. Raises Forbidden, and MalformedRequest when a body came too."""
        if body is not None:
            raise MalformedRequest("Send the refresh token in the cookie or in the body, not both")
        self.check(origin, site)
        return cookie or None

    def given(self, pair: TokenPair) -> tuple[AccessToken, dict[str, str]]:
        """The answer's body and its headers."""
        body = AccessToken(access_token=pair.access_token, expires_in=pair.expires_in)
        cookie = f"{NAME}={pair.refresh_token}; Max-Age={_MAX_AGE}{_ATTRIBUTES}"
        return body, {"Set-Cookie": cookie}

    def cleared(self) -> dict[str, str]:
        return {"Set-Cookie": f"{NAME}=; Max-Age=0{_ATTRIBUTES}"}
