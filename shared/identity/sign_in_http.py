"""The routes of signing in by another issuer's word, and of linking one to an account. Where none
is configured the list of issuers is empty, and nothing can be begun."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from shared.documents import DocumentStore
from shared.errors import Conflict, Forbidden, NotFound, TooManyRequests, Unauthenticated
from shared.http import Principal, Reply, Routes, Source
from shared.identity.attempts import Attempts
from shared.identity.browser import RefreshCookies
from shared.identity.devices import device_of
from shared.identity.grants import Grants
from shared.identity.identities import Identities
from shared.identity.keys import MACKeys
from shared.identity.model import (
    Confirmation,
    IdentityView,
    IssuersWord,
    ProviderList,
    ProviderView,
    SignInStart,
    WaysIn,
)
from shared.identity.session_http import Agent, Origin, Site, Tokens, Transport, given
from shared.secrets import Secrets

if TYPE_CHECKING:
    from shared.identity.sign_in import ProviderSignIn

# Seconds. It changes with a deployment, and whoever sees the old state a little longer is told so.
_FRESH = 300
# Bytes: an ID token has up to 8,192 characters.
_LARGEST = 16 * 1024


class ProviderSettings(Protocol):
    allowed_origins: tuple[str, ...]
    oidc_client_id: str
    oidc_client_secret: str
    oidc_name: str
    oidc_scopes: str
    oidc_issuer: str
    oidc_authorization_url: str
    oidc_token_url: str
    oidc_jwks_url: str


class OtherIssuer:
    """What of it is public, at once; what verifies its word, when somebody brings it: RSA and an
    HTTP client are no part of a cold start."""

    def __init__(self, public: ProviderView, make: Callable[[], ProviderSignIn]) -> None:
        self.public = public
        self._make = make

    @cached_property
    def sign_in(self) -> ProviderSignIn:
        return self._make()


def other_issuer(
    settings: ProviderSettings,
    documents: DocumentStore,
    secrets: Secrets,
    grants: Grants,
    keys: MACKeys,
    attempts: Attempts,
) -> OtherIssuer | None:
    """None when no issuer is configured."""
    if not settings.oidc_client_id:
        return None

    def make() -> ProviderSignIn:
        from shared.identity.codes import Codes
        from shared.identity.id_tokens import IDTokens, read_rsa_jwk
        from shared.identity.proofs import Proofs
        from shared.identity.provider import Provider
        from shared.identity.sign_in import ProviderSignIn
        from shared.jwks import JWKS

        codes = Codes(
            settings.oidc_client_id,
            settings.oidc_authorization_url,
            settings.oidc_token_url,
            settings.oidc_scopes,
            secrets,
            settings.oidc_client_secret,
        )
        public_keys = JWKS(settings.oidc_jwks_url, read_rsa_jwk)
        tokens = IDTokens(settings.oidc_issuer, settings.oidc_client_id, public_keys)
        proofs = Proofs(documents, keys)
        provider = Provider(tokens, codes, proofs, attempts, settings.allowed_origins)
        return ProviderSignIn(documents, provider, grants, keys)

    public = ProviderView(
        name=settings.oidc_name,
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        authorization_url=settings.oidc_authorization_url,
    )
    return OtherIssuer(public, make)


def add_sign_in_routes(routes: Routes, other: OtherIssuer | None, cookies: RefreshCookies) -> None:
    @routes.get("/providers")
    def list_providers() -> Reply[ProviderList]:
        """List the other issuers by whose word one can sign in."""
        items = () if other is None else (other.public,)
        caching = {"Cache-Control": f"public, max-age={_FRESH}"}
        return Reply(ProviderList(items=items), headers=caching)

    @routes.post("/provider/start", errors=(NotFound,))
    def start_sign_in(origin: Origin = None) -> SignInStart:
        """Begin to sign in with another issuer.

        A page of ours is told where to go. Keep `proof` until the issuer has answered."""
        return _configured(other).provider.start(origin)

    @routes.post(
        "/provider",
        max_body=_LARGEST,
        errors=(NotFound, Unauthenticated, Forbidden, TooManyRequests),
    )
    def finish_sign_in(
        body: IssuersWord,
        source: Source,
        transport: Transport = None,
        origin: Origin = None,
        site: Site = None,
        agent: Agent = None,
    ) -> Reply[Tokens]:
        """Sign in with another issuer's ID token, or the code for one; starts a session."""
        if transport is not None:
            cookies.check(origin, site)
        pair = _configured(other).finish(body, origin, source, device_of(agent))
        return given(cookies, pair, transport)


def add_identity_routes(routes: Routes, other: OtherIssuer | None, identities: Identities) -> None:
    @routes.get("/identities", live=True)
    def ways_in(caller: Principal) -> WaysIn:
        """List who the caller is to other issuers, and whether there is a password."""
        return identities.of_user(caller)

    @routes.post("/identities/start", errors=(NotFound, Conflict, TooManyRequests))
    def start_link(body: Confirmation, caller: Principal, origin: Origin = None) -> SignInStart:
        """Begin to link somebody at another issuer to the caller's account.

        What is begun in a session is ended in it."""
        provider = _configured(other).provider
        return identities.start(provider, caller, body.password, origin)

    @routes.post(
        "/identities", max_body=_LARGEST, errors=(NotFound, Forbidden, Conflict, TooManyRequests)
    )
    def link(
        body: IssuersWord, caller: Principal, source: Source, origin: Origin = None
    ) -> IdentityView:
        """Link with the issuer's ID token, or the code for one; the same again changes nothing."""
        return identities.link(_configured(other).provider, caller, body, origin, source)

    @routes.delete("/identities/<identity_id>", errors=(NotFound, Conflict, TooManyRequests))
    def unlink(identity_id: str, body: Confirmation, caller: Principal) -> None:
        """Unlink; ends all other sessions of the caller.

        The identity opens the account again only after it was linked again."""
        identities.unlink(caller, identity_id, body.password)


def _configured(other: OtherIssuer | None) -> ProviderSignIn:
    if other is None:
        raise NotFound
    return other.sign_in
