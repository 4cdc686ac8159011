"""An issuer of people's identities in Google's place: OpenID Connect's code flow, with a page on
which anybody is who he says he is.

As strict as Google where a mistake of the product would show: the redirect URI is compared letter
by letter, and a request that is wrong about the client or about it is refused on the spot, never
by a redirect; PKCE is asked for in its only safe method; a code is good once, for a minute, for
whom it was made. Source: "OpenID Connect Core 1.0", section 3.1; RFC 6749; RFC 7636.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import jwt
from aiohttp import web

from emulators.platform.identity import Identity, unique_id

T = TypeVar("T")
# Seconds: to choose somebody on the page, to bring the code, and to use the token.
_CHOOSING, _CODE, _TOKEN = 600, 60, 3600
# More than anybody opens at once; a caller that makes them up pushes out his own.
_MOST = 1000
_ADDRESS = re.compile(r"[^@\s]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+", re.IGNORECASE)
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 24rem; margin: 10vh auto; padding: 0 1rem; overflow-wrap: anywhere; }
input[type=email] { width: 100%; box-sizing: border-box; }
input, button { font: inherit; padding: 0.4rem 0.8rem; }
"""
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Local ID</title><style>{style}</style></head>
<body><main><h1>Local ID</h1>{content}</main></body></html>
"""
_FORM = """<p>{client} wants to know who you are. Here you are whoever you say.</p>
<form method="post" action="authorize">
<input type="hidden" name="request" value="{request}">
<p><label>E-mail address<br>
<input name="email" type="email" value="{hint}" required autofocus></label></p>
<p><label><input name="verified" type="checkbox" checked> the address is verified</label></p>
<p><button name="answer" value="allow">Allow</button>
<button name="answer" value="deny" formnovalidate>Deny</button></p>
</form>"""


@dataclass(frozen=True)
class Client:
    """`redirects` are the only addresses to which a code is ever sent."""

    id: str
    secret: str
    redirects: tuple[str, ...]


NOBODY = Client("", "", ())


@dataclass(frozen=True)
class Asked:
    redirect_uri: str
    state: str
    nonce: str
    challenge: str


@dataclass(frozen=True)
class Granted:
    asked: Asked
    email: str
    is_verified: bool


class Issuer:
    """Below `url`; forgets with its process what is under way, and keeps its key."""

    def __init__(
        self,
        identity: Identity,
        client: Client,
        url: Callable[[], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._identity = identity
        self._client = client
        self._url = url
        self._clock = clock
        self._requests: Kept[Asked] = Kept(_CHOOSING, clock)
        self._codes: Kept[Granted] = Kept(_CODE, clock)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/issuer/.well-known/openid-configuration", self._discovery),
            web.get("/issuer/certs", self._certs),
            web.get("/issuer/authorize", self._page),
            web.post("/issuer/authorize", self._answered),
            web.post("/issuer/token", self._token),
        ]

    async def _discovery(self, request: web.Request) -> web.Response:
        url = self._url()
        return web.json_response(
            {
                "issuer": url,
                "authorization_endpoint": f"{url}/authorize",
                "token_endpoint": f"{url}/token",
                "jwks_uri": f"{url}/certs",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "email"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
            }
        )

    async def _certs(self, request: web.Request) -> web.Response:
        return web.json_response({"keys": [self._identity.people_key().jwk()]})

    async def _page(self, request: web.Request) -> web.Response:
        query = request.query
        if len(query) != len(set(query)):
            return _refused("A parameter came twice.")
        if query.get("client_id") != self._client.id:
            return _refused("invalid_client: no such client.")
        redirect = query.get("redirect_uri", "")
        if redirect not in self._client.redirects:
            return _refused(f"redirect_uri_mismatch: {redirect} is not one of the client's.")
        state = query.get("state", "")
        wrong = _wrong(query)
        if wrong is not None:
            return _sent(redirect, {"error": wrong, "state": state})
        asked = Asked(redirect, state, query["nonce"], query["code_challenge"])
        content = _FORM.format(
            client=escape(self._client.id),
            request=self._requests.keep(asked),
            hint=escape(query.get("login_hint", ""), quote=True),
        )
        return _shown(200, content)

    async def _answered(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self._requests.take(str(form.get("request", "")))
        if asked is None:
            return _refused("This page is used or too old; go back to where you came from.")
        if form.get("answer") != "allow":
            return _sent(asked.redirect_uri, {"error": "access_denied", "state": asked.state})
        email = str(form.get("email", "")).strip()
        if not _ADDRESS.fullmatch(email):
            return _refused("That is no e-mail address.")
        code = self._codes.keep(Granted(asked, email, "verified" in form))
        return _sent(asked.redirect_uri, {"code": code, "state": asked.state})

    async def _token(self, request: web.Request) -> web.Response:
        if request.content_type != "application/x-www-form-urlencoded":
            return _error(400, "invalid_request")
        form = await request.post()
        given = {name: str(value) for name, value in form.items()}
        right = (given.get("client_id"), given.get("client_secret", ""))
        if right[0] != self._client.id or not _same(right[1], self._client.secret):
            return _error(401, "invalid_client")
        if given.get("grant_type") != "authorization_code":
            return _error(400, "unsupported_grant_type")
        granted = self._codes.take(given.get("code", ""))
        if granted is None or not _fits(granted.asked, given):
            return _error(400, "invalid_grant")
        body = {
            "access_token": secrets.token_urlsafe(32),
            "token_type": "Bearer",
            "expires_in": _TOKEN,
            "scope": "openid email",
            "id_token": self._id_token(granted),
        }
        return web.json_response(body, headers={"Cache-Control": "no-store"})

    def _id_token(self, granted: Granted) -> str:
        now = int(self._clock())
        claims = {
            "iss": self._url(),
            "aud": self._client.id,
            "azp": self._client.id,
            "sub": unique_id(granted.email.lower()),
            "email": granted.email,
            "email_verified": granted.is_verified,
            "nonce": granted.asked.nonce,
            "iat": now,
            "exp": now + _TOKEN,
        }
        key = self._identity.people_key()
        return jwt.encode(claims, key.private, "RS256", headers={"kid": key.id})


class Kept(Generic[T]):
    """Each thing is taken once, within `seconds`, by who knows its unguessable name."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._things: dict[str, tuple[float, T]] = {}

    def keep(self, thing: T) -> str:
        while len(self._things) >= _MOST:
            del self._things[next(iter(self._things))]
        name = secrets.token_urlsafe(24)
        self._things[name] = (self._clock() + self._seconds, thing)
        return name

    def take(self, name: str) -> T | None:
        until, thing = self._things.pop(name, (0.0, None))
        return thing if self._clock() < until else None


def _wrong(query: Mapping[str, str]) -> str | None:
    """The error code of RFC 6749, section 4.1.2.1, that the request deserves."""
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    if "openid" not in query.get("scope", "").split(" "):
        return "invalid_scope"
    challenge, method = query.get("code_challenge", ""), query.get("code_challenge_method")
    if method != "S256" or not _CHALLENGE.fullmatch(challenge):
        return "invalid_request"
    if not query.get("nonce") or not query.get("state"):
        return "invalid_request"
    return None


def _fits(asked: Asked, given: Mapping[str, str]) -> bool:
    verifier = given.get("code_verifier", "")
    if given.get("redirect_uri") != asked.redirect_uri or not _VERIFIER.fullmatch(verifier):
        return False
    digest = hashlib.sha256(verifier.encode()).digest()
    made = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return _same(made, asked.challenge)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _sent(redirect_uri: str, answer: Mapping[str, str]) -> web.Response:
    location = f"{redirect_uri}?{urlencode(answer)}"
    headers = {"Location": location, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return web.Response(status=303, headers=headers)


def _shown(status: int, content: str) -> web.Response:
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    # No form-action: browsers hold the redirect after the form to it as well.
    policy = f"default-src 'none'; style-src 'sha256-{style}'; frame-ancestors 'none'"
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
    }
    text = _PAGE.format(style=_STYLE, content=content)
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)


def _refused(why: str) -> web.Response:
    return _shown(400, f'<p role="alert">{escape(why)}</p>')


def _error(status: int, code: str) -> web.Response:
    body: dict[str, Any] = {"error": code}
    return web.json_response(body, status=status, headers={"Cache-Control": "no-store"})
