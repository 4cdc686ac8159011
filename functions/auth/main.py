"""HTTPS function: who somebody is."""

import gc

gc.disable()

import os

import functions_framework
from flask import Request, Response

from shared.documents.firestore import FirestoreDocuments
from shared.http import App
from shared.identity.accounts import Accounts
from shared.identity.attempts import Attempts
from shared.identity.browser import RefreshCookies
from shared.identity.export import Export, Section
from shared.identity.grants import Grants
from shared.identity.http import routes
from shared.identity.identities import Identities
from shared.identity.keys import mac_keys, signing_keys
from shared.identity.live import LiveSessions
from shared.identity.mails import MailStore
from shared.identity.passwords import PasswordPolicy, Passwords
from shared.identity.refresh import RefreshTokens
from shared.identity.service import IdentityService
from shared.identity.session_store import SessionStore
from shared.identity.sessions import Sessions
from shared.identity.sign_in_http import other_issuer
from shared.identity.store import IdentityStore
from shared.identity.tokens import TokenSigner, TokenVerifier
from shared.secrets import SecretManager
from shared.settings import AuthSettings

settings = AuthSettings.read(os.environ)
documents = FirestoreDocuments(settings.google_cloud_project)
secrets = SecretManager()
signing = signing_keys(secrets, settings.signing_key_secret)
macs = mac_keys(secrets, settings.token_hmac_secret)
sessions = Sessions(SessionStore(documents), RefreshTokens(macs))
grants = Grants(sessions, TokenSigner(signing, settings.issuer))
store, mails = IdentityStore(documents), MailStore(documents)
passwords, policy = Passwords(), PasswordPolicy(settings.password_floor)
attempts = Attempts(documents, macs, people=settings.people_per_source)
identity = IdentityService(
    store,
    mails,
    grants,
    macs,
    passwords,
    policy,
    attempts,
    unverified=settings.sign_in_unverified,
)
accounts = Accounts(store, mails, macs, passwords, policy, attempts)
export = Export(
    documents,
    [
        Section("sessions", "user"),
        Section("identities", "user"),
        Section("tasks"),
        Section("attachments"),
        Section("comments", "author"),
        Section("media"),
        Section("usage"),
        Section("audit"),
    ],
)
cookies = RefreshCookies(settings.allowed_origins)
identities = Identities(documents, accounts)
other = other_issuer(settings, documents, secrets, grants, macs, attempts)
app = App(
    "auth",
    routes(
        identity,
        accounts,
        attempts,
        export,
        grants,
        sessions,
        cookies,
        identities,
        other,
        signing,
    ),
    # Its own keys, not its own JWKS address: a function should not call itself to answer.
    authenticator=TokenVerifier(signing, settings.issuer),
    # Asked every time: what is changed here is who may come in.
    sessions=LiveSessions(documents, remembered=0),
    allowed_origins=settings.allowed_origins,
    project=settings.google_cloud_project,
    proxies=settings.trusted_proxies,
)


@functions_framework.http
def auth(request: Request) -> Response:
    return app(request)


gc.enable()
gc.freeze()
