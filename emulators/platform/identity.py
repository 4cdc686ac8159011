"""Service accounts: their keys, access tokens and ID tokens. Knows nothing of HTTP.

Each account has one RSA key, made when first needed and kept. ID tokens are signed by one more
key, that of the issuer accounts.google.com. Access tokens are opaque to their holder and need no
store: they are sealed with a kept secret, so those in functions' memories outlive a restart.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from emulators.platform.files import write_private

ISSUER = "https://accounts.google.com"
# Seconds that access and ID tokens live, as the real ones do.
TOKEN_LIFE = 3600
# An ID token is handed out again while it is good for longer than this, in seconds.
_ID_TOKEN_LEFT = 300
# Audiences are URLs of functions; more than this many tokens is a caller that makes them up.
_ID_TOKENS_KEPT = 256
_PREFIX = "ya29.c."
# Only what stands in a file name without a second look.
_EMAIL = re.compile(r"[a-z][a-z0-9-]{0,62}@[a-z0-9.-]{1,200}")
Clock = Callable[[], float]


class UnknownAccount(Exception):
    """No service account has this name."""


class InvalidAccessToken(Exception):
    """The token is not one of ours, or has expired."""


def account(name: str, project: str) -> str:
    return f"{name}@{project}.iam.gserviceaccount.com"


def unique_id(email: str) -> str:
    """The 21-digit number that is an account's `sub`; the same for a name on every machine."""
    return "1" + str(int.from_bytes(hashlib.sha256(email.encode()).digest()))[:20]


@dataclass(frozen=True)
class Key:
    id: str
    private: rsa.RSAPrivateKey
    certificate: str
    """PEM of the self-signed certificate that carries the public key."""

    def sign(self, content: bytes) -> bytes:
        return self.private.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def jwk(self) -> dict[str, Any]:
        public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(
            self.private.public_key(), as_dict=True
        )
        return {"kty": "RSA", "n": public["n"], "e": public["e"]} | {
            "kid": self.id,
            "alg": "RS256",
            "use": "sig",
        }


class Identity:
    """`functions` are the names that have an account; `caller` is the platform's own."""

    def __init__(
        self, folder: Path, project: str, functions: Iterable[str], clock: Clock = time.time
    ) -> None:
        self.project = project
        self.functions = frozenset(functions)
        self.caller = account("platform", project)
        self._emails = {account(name, project) for name in self.functions} | {self.caller}
        self._folder = folder
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._id_tokens: dict[tuple[str, str], tuple[float, str]] = {}
        self._issuer = self._kept_key("accounts.google.com")
        self._seal = Fernet(self._kept_seal())

    def email_of(self, function: str) -> str:
        if function not in self.functions:
            raise UnknownAccount(function)
        return account(function, self.project)

    def key(self, email: str) -> Key:
        """The account's key; takes a tenth of a second when it must be made. Raises
        UnknownAccount."""
        if email not in self._emails or not _EMAIL.fullmatch(email):
            raise UnknownAccount(email)
        return self._kept_key(email)

    def people_key(self) -> Key:
        """Of the issuer of people's identities, which is not that of functions'."""
        return self._kept_key("people")

    def issuer_keys(self) -> list[dict[str, Any]]:
        return [self._issuer.jwk()]

    # Tokens

    def access_token(self, email: str) -> str:
        sealed = self._seal.encrypt_at_time(email.encode(), int(self._clock()))
        return _PREFIX + sealed.decode().rstrip("=")

    def holder(self, token: str) -> str:
        """The account that an access token was made for. Raises InvalidAccessToken."""
        sealed = token.removeprefix(_PREFIX)
        if sealed == token or not sealed.isascii():
            raise InvalidAccessToken
        padded = sealed + "=" * (-len(sealed) % 4)
        try:
            email = self._seal.decrypt_at_time(padded, TOKEN_LIFE, int(self._clock())).decode()
        except InvalidToken:
            raise InvalidAccessToken from None
        if email not in self._emails:
            raise InvalidAccessToken
        return email

    def id_token(self, email: str, audience: str) -> str:
        """A token as Google's for `audience`; the same one again while it is fresh."""
        now = self._clock()
        expires, token = self._id_tokens.get((email, audience), (now, ""))
        if expires - now <= _ID_TOKEN_LEFT:
            if len(self._id_tokens) >= _ID_TOKENS_KEPT:
                self._id_tokens.clear()
            token = self._new_id_token(email, audience, int(now))
            self._id_tokens[email, audience] = (now + TOKEN_LIFE, token)
        return token

    def _new_id_token(self, email: str, audience: str, now: int) -> str:
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "azp": unique_id(email),
            "sub": unique_id(email),
            "email": email,
            "email_verified": True,
            "iat": now,
            "exp": now + TOKEN_LIFE,
        }
        return jwt.encode(claims, self._issuer.private, "RS256", headers={"kid": self._issuer.id})

    # What is kept

    def _kept_key(self, name: str) -> Key:
        with self._lock:
            key = self._keys.get(name)
            if key is None:
                path = self._folder / f"{name}.json"
                key = _load(path) if path.exists() else _make(path, name)
                self._keys[name] = key
            return key

    def _kept_seal(self) -> bytes:
        path = self._folder / "tokens.key"
        if not path.exists():
            write_private(path, Fernet.generate_key())
        return path.read_bytes()


def _load(path: Path) -> Key:
    kept = json.loads(path.read_bytes())
    private = serialization.load_pem_private_key(kept["privateKey"].encode(), None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA key")
    return Key(kept["keyId"], private, kept["certificate"])


def _make(path: Path, name: str) -> Key:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # Forty hexadecimal digits, as Google's key ids are; a name for the key, no protection.
    key = Key(hashlib.sha256(public).hexdigest()[:40], private, _certificate(private, name))
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    kept = {"keyId": key.id, "privateKey": pem.decode(), "certificate": key.certificate}
    write_private(path, json.dumps(kept, indent=1).encode())
    return key


def _certificate(private: rsa.RSAPrivateKey, name: str) -> str:
    # X.520 ends a common name at 64 characters; nobody reads it, the key is what counts.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .sign(private, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
