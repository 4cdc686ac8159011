"""Identity as functions/auth composes it, over a store and secrets of the test's choice, and
with a clock that the test moves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from shared.documents import DocumentStore
from shared.events.model import Delivered
from shared.http import App
from shared.identity.accounts import Accounts
from shared.identity.attempts import Attempts
from shared.identity.browser import RefreshCookies
from shared.identity.codes import Codes
from shared.identity.export import Export, Section
from shared.identity.grants import Grants
from shared.identity.http import routes
from shared.identity.id_tokens import IDTokens
from shared.identity.identities import Identities
from shared.identity.keys import KeyRing, MACKeys, SigningKeys, read_mac_key, read_signing_key
from shared.identity.live import LiveSessions
from shared.identity.mails import MailRequested, MailStore
from shared.identity.model import ProviderView
from shared.identity.passwords import PasswordPolicy, Passwords
from shared.identity.post import Post
from shared.identity.proofs import Proofs
from shared.identity.provider import Provider
from shared.identity.refresh import RefreshTokens
from shared.identity.service import IdentityService
from shared.identity.session_store import SessionStore
from shared.identity.sessions import Sessions
from shared.identity.sign_in import ProviderSignIn
from shared.identity.sign_in_http import OtherIssuer
from shared.identity.store import IdentityStore
from shared.identity.tokens import TokenSigner, TokenVerifier
from shared.mail import Mail, MemoryMailer
from shared.secrets import MemorySecrets
from tests.fixtures.stores import memory_documents

T = TypeVar("T")

ORIGIN = "https://snaptask.example"
ISSUER = "https://snaptask.example/api/auth"
SIGNING = "projects/p/secrets/signing-key"
HMAC = "projects/p/secrets/token-hmac"
CLIENT_SECRET = "projects/p/secrets/oidc-client"
PASSWORD = "correct horse"
HOME = "198.51.100.1"


def pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@dataclass
class Clock:
    now: datetime = datetime(2026, 11, 25, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def ticks(self) -> float:
        return self.now.timestamp()

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass
class World:
    """`weak` hashes take a thousandth of the time, for tests that are not about hashing."""

    documents: DocumentStore = field(default_factory=memory_documents)
    secrets: MemorySecrets = field(default_factory=MemorySecrets)
    clock: Clock = field(default_factory=Clock)
    weak: bool = True
    unverified: bool = True
    people: int = 1000
    floor: int = 8
    sections: Sequence[Section] = (Section("sessions", "user"), Section("tasks"))
    mailer: MemoryMailer = field(default_factory=MemoryMailer)
    id_tokens: IDTokens | None = None
    token_url: str = "http://127.0.0.1:9/token"

    def __post_init__(self) -> None:
        if not self.secrets.versions(SIGNING):
            created = self.clock.now - timedelta(days=1)
            self.secrets.add(SIGNING, pem(), created)
            self.secrets.add(HMAC, b"k" * 32, created)
            self.secrets.add(CLIENT_SECRET, b"the client's own\n", created)
        self.start()

    def start(self) -> None:
        """As a new process would, on what the store and the secrets hold."""
        clock = self.clock
        signing = KeyRing(self.secrets, SIGNING, read_signing_key, clock, clock.ticks)
        macs = KeyRing(self.secrets, HMAC, read_mac_key, clock, clock.ticks)
        self.signing, self.macs = SigningKeys(signing), MACKeys(macs)
        self.store = IdentityStore(self.documents)
        self.tokens = RefreshTokens(self.macs)
        self.passwords = Passwords(memory_kib=8, passes=1) if self.weak else Passwords()
        self.sessions = Sessions(SessionStore(self.documents), self.tokens, clock)
        self.grants = Grants(self.sessions, TokenSigner(self.signing, ISSUER, clock))
        policy = PasswordPolicy(self.floor)
        mails = MailStore(self.documents)
        self.attempts = Attempts(self.documents, self.macs, people=self.people, clock=clock)
        self.service = IdentityService(
            self.store,
            mails,
            self.grants,
            self.macs,
            self.passwords,
            policy,
            self.attempts,
            unverified=self.unverified,
            clock=clock,
        )
        self.accounts = Accounts(
            self.store, mails, self.macs, self.passwords, policy, self.attempts, clock
        )
        self.post_office = Post(mails, self.store, self.macs, self.mailer, ORIGIN, clock)
        identities = Identities(self.documents, self.accounts, clock)
        verifier = TokenVerifier(self.signing, ISSUER, clock)
        cookies = RefreshCookies([ORIGIN])
        self.app = App(
            "auth",
            routes(
                self.service,
                self.accounts,
                self.attempts,
                Export(self.documents, self.sections),
                self.grants,
                self.sessions,
                cookies,
                identities,
                self._other_issuer(),
                self.signing,
            ),
            authenticator=verifier,
            sessions=LiveSessions(self.documents, remembered=0, clock=clock),
            allowed_origins=[ORIGIN],
            proxies=1,
        )

    def _other_issuer(self) -> OtherIssuer | None:
        tokens, authorization_url = self.id_tokens, "https://id.example/authorize"
        if tokens is None:
            return None
        client = tokens.client_id
        public = ProviderView(
            name="Other",
            issuer=tokens.issuer,
            client_id=client,
            authorization_url=authorization_url,
        )

        def make() -> ProviderSignIn:
            codes = Codes(
                client,
                authorization_url,
                self.token_url,
                "openid",
                self.secrets,
                CLIENT_SECRET,
                self.clock.ticks,
            )
            proofs = Proofs(self.documents, self.macs, self.clock)
            provider = Provider(tokens, codes, proofs, self.attempts, [ORIGIN])
            return ProviderSignIn(self.documents, provider, self.grants, self.macs, self.clock)

        return OtherIssuer(public, make)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        bearer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        headers = dict(headers or {})
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        data = None if body is None else json.dumps(body).encode()
        builder = EnvironBuilder(
            path, method=method, headers=headers, data=data, content_type="application/json"
        )
        return self.app(Request(builder.get_environ()))

    def post(
        self, path: str, *, source: str = HOME, bearer: str | None = None, **body: Any
    ) -> Response:
        return self.call("POST", path, body, bearer, {"X-Forwarded-For": source})

    def register(
        self, email: str = "ada@example.org", password: str = PASSWORD, source: str = HOME
    ) -> Response:
        return self.post("/register", source=source, email=email, password=password)

    def login(self, email: str = "ada@example.org", password: str = PASSWORD) -> dict[str, Any]:
        answer = self.post("/login", email=email, password=password)
        assert answer.status_code == 200, answer.get_data()
        return json_of(answer)

    def signed_in(self) -> dict[str, Any]:
        assert self.register().status_code == 202
        return self.login()

    def deliver_mails(self) -> list[Mail]:
        """Hands every mail that is wanted to the mail function; returns those sent now."""
        before = len(self.mailer.mails)
        for one in self.documents.query("outbox", limit=500):
            if one.data["type"] == MailRequested.type:
                event = Delivered(one.id, one.data["type"], one.data["data"], None)
                self.post_office.deliver(event)
        return self.mailer.mails[before:]

    def token(self, kind: str) -> str:
        """Of the last mail that was sent with a link of this kind, after sending what waits."""
        self.deliver_mails()
        found = [re.search(rf"/#{kind}=(\S+)", mail.text) for mail in self.mailer.mails]
        return [match[1] for match in found if match][-1]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What waits in the outbox of `snaptask.identity.v1.<kind>`."""
        return [
            json.loads(one.data["data"])
            for one in self.documents.query("outbox")
            if one.data["type"] == f"snaptask.identity.v1.{kind}"
        ]

    def refresh(self, token: str) -> Response:
        return self.post("/refresh", refreshToken=token)


def json_of(answer: Response) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(answer.get_data())
    return document


class Between:
    """For WatchedDocuments: does what it is armed with just before the next commit, which is when
    another request can be faster than the one that is under way."""

    def __init__(self) -> None:
        self._armed: Callable[[], object] | None = None

    def arm(self, other: Callable[[], object]) -> None:
        self._armed = other

    def __call__(self, name: str, _: int) -> None:
        other = self._armed
        if name == "commit" and other is not None:
            self._armed = None
            other()


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """What `count` threads get that start together."""
    start = Barrier(count)

    def one(index: int) -> T:
        start.wait()
        return call(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
