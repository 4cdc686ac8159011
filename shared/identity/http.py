"""The routes of identity."""

from __future__ import annotations

from shared.errors import TooManyRequests
from shared.http import Principal, Reply, Routes, Source
from shared.identity.account_http import add_account_routes
from shared.identity.accounts import Accounts
from shared.identity.attempts import Attempts
from shared.identity.browser import RefreshCookies
from shared.identity.export import Export
from shared.identity.grants import Grants
from shared.identity.identities import Identities
from shared.identity.keys import SigningKeys
from shared.identity.model import Credentials, KeySet, Registration, UserView
from shared.identity.service import IdentityService
from shared.identity.session_http import add_session_routes, add_token_routes
from shared.identity.sessions import Sessions
from shared.identity.sign_in_http import OtherIssuer, add_identity_routes, add_sign_in_routes

# Seconds; part of the time for which a key is announced before it signs (keys.ANNOUNCED).
_KEYS_FRESH = 300


def routes(
    identity: IdentityService,
    accounts: Accounts,
    attempts: Attempts,
    export: Export,
    grants: Grants,
    sessions: Sessions,
    cookies: RefreshCookies,
    identities: Identities,
    other: OtherIssuer | None,
    keys: SigningKeys,
) -> Routes:
    routes = Routes(tag="auth")

    @routes.post("/register", status=202, errors=(TooManyRequests,))
    def register(body: Credentials, source: Source) -> Registration:
        """Register with an address and a password."""
        return identity.register(body, source)

    add_token_routes(routes, identity, attempts, grants, sessions, cookies)
    add_account_routes(routes, accounts, attempts, export)
    add_session_routes(routes, sessions, cookies)
    add_sign_in_routes(routes, other, cookies)
    add_identity_routes(routes, other, identities)

    @routes.get("/me", live=True)
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
