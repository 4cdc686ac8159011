"""The routes of identity."""

from __future__ import annotations

from shared.errors import Unauthenticated
from shared.http import Principal, Reply, Routes
from shared.identity.keys import SigningKeys
from shared.identity.model import (
    Credentials,
    KeySet,
    RefreshRequest,
    Registration,
    TokenPair,
    UserView,
)
from shared.identity.service import IdentityService

# Seconds; part of the time for which a key is announced before it signs (keys.ANNOUNCED).
_KEYS_FRESH = 300


def routes(identity: IdentityService, keys: SigningKeys) -> Routes:
    routes = Routes(tag="auth")

    @routes.post("/register", status=202)
    def register(body: Credentials) -> Registration:
        """Register with an address and a password."""
        return identity.register(body)

    @routes.post("/login", errors=(Unauthenticated,))
    def login(body: Credentials) -> TokenPair:
        """Sign in; starts a session."""
        return identity.login(body)

    @routes.post("/refresh", errors=(Unauthenticated,))
    def refresh(body: RefreshRequest) -> TokenPair:
        """Take the next pair of tokens; each refresh token is used once."""
        return identity.refresh(body.refresh_token)

    @routes.post("/logout")
    def logout(body: RefreshRequest) -> None:
        """End the session of a refresh token; one that is none changes nothing."""
        identity.logout(body.refresh_token)

    @routes.get("/me")
    def me(caller: Principal) -> UserView:
        """Read who is signed in."""
        return identity.me(caller)

    @routes.get("/.well-known/jwks.json")
    def jwks() -> Reply[KeySet]:
        """Read the public keys of access tokens."""
        return Reply(
            KeySet(keys=keys.jwks()), headers={"Cache-Control": f"public, max-age={_KEYS_FRESH}"}
        )

    return routes
