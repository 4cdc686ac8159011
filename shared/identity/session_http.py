"""The routes of sessions: signing in, carrying on, signing out, here or everywhere.

A client that is no browser has its refresh token in bodies. A page asks with `Refresh-Transport:
cookie` for the token to be in a cookie instead (shared/identity/browser.py), and then never sees
it; the same header says on later requests that the cookie is meant.
"""

from __future__ import annotations

from typing import Annotated, Literal

from shared.errors import Forbidden, Invalid, NotFound, TooManyRequests, Unauthenticated
from shared.http import Cookie, Header, Principal, Reply, Routes, Source
from shared.identity.attempts import Attempts
from shared.identity.browser import NAME, RefreshCookies
from shared.identity.devices import device_of
from shared.identity.grants import Grants
from shared.identity.model import (
    AccessToken,
    Credentials,
    RefreshRequest,
    SessionList,
    SessionView,
    TokenPair,
)
from shared.identity.service import IdentityService
from shared.identity.session_model import Session
from shared.identity.sessions import Sessions

Transport = Annotated[Literal["cookie"] | None, Header("Refresh-Transport")]
Origin = Annotated[str | None, Header("Origin")]
Site = Annotated[str | None, Header("Sec-Fetch-Site")]
Agent = Annotated[str | None, Header("User-Agent")]
Kept = Annotated[str | None, Cookie(NAME)]
Tokens = TokenPair | AccessToken


def add_token_routes(
    routes: Routes,
    identity: IdentityService,
    attempts: Attempts,
    grants: Grants,
    sessions: Sessions,
    cookies: RefreshCookies,
) -> None:
    @routes.post("/login", errors=(Unauthenticated, Forbidden, TooManyRequests))
    def login(
        body: Credentials,
        source: Source,
        transport: Transport = None,
        origin: Origin = None,
        site: Site = None,
        agent: Agent = None,
    ) -> Reply[Tokens]:
        """Sign in; starts a session."""
        if transport is not None:
            cookies.check(origin, site)
        return given(cookies, identity.login(body, source, device_of(agent)), transport)

    @routes.post("/refresh", errors=(Unauthenticated, Forbidden, TooManyRequests))
    def refresh(
        body: RefreshRequest | None = None,
        transport: Transport = None,
        origin: Origin = None,
        site: Site = None,
        kept: Kept = None,
    ) -> Reply[Tokens]:
        """Take the next pair of tokens; each refresh token is used once."""
        token = _told(body) if transport is None else cookies.token(body, origin, site, kept)
        if token is None:
            raise Unauthenticated
        attempts.refresh(sessions.named(token))
        return given(cookies, grants.refresh(token), transport)

    @routes.post("/logout", errors=(Forbidden,))
    def logout(
        body: RefreshRequest | None = None,
        transport: Transport = None,
        origin: Origin = None,
        site: Site = None,
        kept: Kept = None,
    ) -> Reply[None]:
        """End the session of a refresh token; one that is none changes nothing."""
        token = _told(body) if transport is None else cookies.token(body, origin, site, kept)
        # A page that has lost its cookie is signed out already, and its tidying up succeeds.
        if token is not None:
            sessions.end(token)
        return Reply(None, headers=cookies.cleared() if transport else {})


def add_session_routes(routes: Routes, sessions: Sessions, cookies: RefreshCookies) -> None:
    @routes.post("/logout-all")
    def logout_all(caller: Principal, transport: Transport = None) -> Reply[None]:
        """End every session of the caller, this one too."""
        sessions.end_all(caller.user)
        return Reply(None, headers=cookies.cleared() if transport else {})

    @routes.get("/sessions", live=True)
    def list_sessions(caller: Principal) -> SessionList:
        """List where the caller is signed in, the session used last first."""
        found = sessions.of_user(caller.user)
        return SessionList(items=tuple(_view(one, caller.session) for one in found))

    @routes.delete("/sessions/<session_id>", errors=(NotFound,))
    def end_session(session_id: str, caller: Principal) -> None:
        """End one session of the caller."""
        sessions.end_one(caller.user, session_id)


def _told(body: RefreshRequest | None) -> str:
    if body is None:
        raise Invalid(errors=[{"pointer": "/refreshToken", "message": "Field required"}])
    return body.refresh_token


def given(cookies: RefreshCookies, pair: TokenPair, transport: str | None) -> Reply[Tokens]:
    if transport is None:
        return Reply(pair)
    body, headers = cookies.given(pair)
    return Reply(body, headers=headers)


def _view(session: Session, current: str) -> SessionView:
    return SessionView(
        id=session.id,
        created_at=session.created_at,
        last_used_at=session.rotated_at,
        device=session.device,
        current=session.id == current,
    )
