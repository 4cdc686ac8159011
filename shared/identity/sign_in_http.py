"""The routes of signing in by another issuer's word; missing where none is configured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shared.documents import DocumentStore
from shared.errors import Forbidden, NotFound, Unauthenticated
from shared.http import Reply, Routes
from shared.identity.browser import RefreshCookies
from shared.identity.devices import device_of
from shared.identity.grants import Grants
from shared.identity.keys import MACKeys
from shared.identity.model import IDTokenGiven, SignInStart
from shared.identity.session_http import Agent, Origin, Site, Tokens, Transport, given
from shared.jwks import JWKS

if TYPE_CHECKING:
    # Loaded only where an issuer is configured: RSA is a part of the cold start.
    from shared.identity.sign_in import ProviderSignIn


class ProviderSettings(Protocol):
    oidc_issuer: str
    oidc_client_id: str
    oidc_jwks_url: str


def provider_sign_in(
    settings: ProviderSettings, documents: DocumentStore, grants: Grants, keys: MACKeys
) -> ProviderSignIn | None:
    """None when no issuer is configured."""
    if not settings.oidc_client_id:
        return None
    from shared.identity.id_tokens import IDTokens, read_rsa_jwk
    from shared.identity.sign_in import ProviderSignIn

    public_keys = JWKS(settings.oidc_jwks_url, read_rsa_jwk)
    tokens = IDTokens(settings.oidc_issuer, settings.oidc_client_id, public_keys)
    return ProviderSignIn(documents, tokens, grants, keys)


def add_sign_in_routes(
    routes: Routes, provider: ProviderSignIn | None, cookies: RefreshCookies
) -> None:
    def configured() -> ProviderSignIn:
        if provider is None:
            raise NotFound
        return provider

    @routes.post("/provider/start", errors=(NotFound,))
    def start_sign_in() -> SignInStart:
        """Begin to sign in with another issuer.

        Give `nonce` to the issuer, keep `proof` until its ID token is there."""
        return configured().start()

    # An ID token has up to 8,192 characters.
    @routes.post("/provider", max_body=16 * 1024, errors=(NotFound, Unauthenticated, Forbidden))
    def finish_sign_in(
        body: IDTokenGiven,
        transport: Transport = None,
        origin: Origin = None,
        site: Site = None,
        agent: Agent = None,
    ) -> Reply[Tokens]:
        """Sign in with another issuer's ID token; starts a session."""
        if transport is not None:
            cookies.check(origin, site)
        return given(cookies, configured().finish(body, device_of(agent)), transport)
