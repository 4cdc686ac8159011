"""Only a token of the platform's own, made for us and our caller, opens an event function."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from shared.errors import Unauthenticated, Unavailable
from shared.events.http import platform_sender
from shared.events.sender import PlatformSender
from tests.fixtures.web import Answer, Web, as_json, serving

AUDIENCE = "https://thumbnails.example"
CALLER = "platform@p.iam.gserviceaccount.com"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NEXT_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def public(kid: str, key: rsa.RSAPrivateKey = KEY) -> dict[str, Any]:
    made = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {**made, "kid": kid, "alg": "RS256", "use": "sig"}


def token(key: Any = KEY, kid: str | None = "k1", alg: str = "RS256", **changes: Any) -> str:
    now = int(time.time())
    claims = {
        "iss": "https://accounts.google.com",
        "aud": AUDIENCE,
        "sub": "1",
        "email": CALLER,
        "email_verified": True,
        "iat": now,
        "exp": now + 3600,
    }
    claims |= changes
    claims = {name: value for name, value in claims.items() if value is not ...}
    return jwt.encode(claims, key, alg, headers={} if kid is None else {"kid": kid})


def confused(secret: bytes) -> str:
    """Signed with our public key as if it were a shared secret; PyJWT refuses to make it."""
    header = jwt.utils.base64url_encode(b'{"alg":"HS256","kid":"k1","typ":"JWT"}')
    signed = header + b"." + token().split(".")[1].encode()
    mac = hmac.digest(secret, signed, "sha256")
    return (signed + b"." + jwt.utils.base64url_encode(mac)).decode()


@pytest.fixture
def keys() -> Iterator[Web]:
    with serving(lambda _: as_json({"keys": [public("k1")]})) as web:
        yield web


@pytest.fixture
def sender(keys: Web) -> PlatformSender:
    return PlatformSender(f"{keys.url}/certs", AUDIENCE, CALLER)


def test_the_platforms_token_is_taken_and_the_keys_are_read_once(
    sender: PlatformSender, keys: Web
) -> None:
    for _ in range(5):
        sender.check(token())
    assert [asked.path for asked in keys.asked] == ["/certs"]


OLD = int(time.time()) - 7200


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": OLD + 3600, "iat": OLD},
        {"exp": ...},
        {"iat": ...},
        {"iat": OLD + 86400},
        {"nbf": OLD + 86400},
        {"sub": ...},
        {"aud": ...},
        {"aud": "https://other.example"},
        {"aud": AUDIENCE + "/"},
        {"aud": []},
        {"iss": ...},
        {"iss": "accounts.google.com"},
        {"iss": "https://evil.example"},
        {"email": "else@p.iam.gserviceaccount.com"},
        {"email": CALLER.upper()},
        {"email": ...},
        {"email": [CALLER]},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": ...},
    ],
    # By position: a moment in an id would differ between the processes of one run.
    ids=lambda changes: "-".join(changes),
)
def test_a_genuine_token_with_wrong_claims_is_refused(
    sender: PlatformSender, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unauthenticated):
        sender.check(token(**changes))


def test_another_algorithm_is_refused_whatever_signs_it(keys: Web) -> None:
    secret = json.dumps(public("k1"))
    made = json.loads(ECAlgorithm.to_jwk(EC_KEY.public_key()))
    keys.answer = lambda _: as_json({"keys": [public("k1"), {**made, "kid": "ec"}]})
    sender = PlatformSender(keys.url, AUDIENCE, CALLER)
    sender.check(token())
    for forged in (
        token(key=None, alg="none"),
        confused(secret.encode()),
        confused(PEM),
        token(alg="RS512"),
        token(alg="PS256"),
        token(key=EC_KEY, alg="ES256"),
        token(key=EC_KEY, alg="ES256", kid="ec"),
        token(key=NEXT_KEY),
        token(key=NEXT_KEY, kid="ec"),
    ):
        with pytest.raises(Unauthenticated):
            sender.check(forged)


def test_a_token_changed_in_any_part_is_refused(sender: PlatformSender) -> None:
    header, claims, signature = token().split(".")
    for forged in (
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{header}.{token(email='x').split('.')[1]}.{signature}",
        f"{header}.{claims}.{signature[:-8]}AAAAAAAA",
        f".{claims}.{signature}",
    ):
        with pytest.raises(Unauthenticated):
            sender.check(forged)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b.c",
        "é.é.é",
        "\ud800.a.b",
        "W10.W10.W10",
        "bnVsbA.e30.AA",
        "_w.e30.AA",
        "W1tb" * 40_000 + ".e30.AA",
        "eyJraWQiOlt7fV19.e30.AA",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6Ims" + ".e30.AA",
        "x" * 100_000,
    ],
    ids=lambda text: text[:10].encode("ascii", "replace").decode(),
)
def test_what_is_no_token_is_refused_and_asks_nobody(
    sender: PlatformSender, keys: Web, text: str
) -> None:
    with pytest.raises(Unauthenticated):
        sender.check(text)
    assert keys.asked == []


@pytest.mark.parametrize("kid", [None, "", "None", "unknown", "../k1"])
def test_unknown_key_ids_are_refused_and_are_no_way_to_make_us_call_out(
    sender: PlatformSender, keys: Web, kid: str | None
) -> None:
    sender.check(token())
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            sender.check(token(kid=kid))
    assert len(keys.asked) == 1


def test_a_new_key_is_read_when_its_first_token_comes(keys: Web) -> None:
    now = [1000.0]
    sender = PlatformSender(keys.url, AUDIENCE, CALLER)
    sender._keys._keys._clock = lambda: now[0]
    sender.check(token())
    keys.answer = lambda _: as_json({"keys": [public("k1"), public("k2", NEXT_KEY)]})
    now[0] += 11
    sender.check(token(NEXT_KEY, "k2"))
    sender.check(token())
    keys.answer = lambda _: as_json({"keys": [public("k2", NEXT_KEY)]})
    now[0] += 301
    sender.check(token(NEXT_KEY, "k2"))
    with pytest.raises(Unauthenticated):
        sender.check(token())


OUTAGES: dict[str, Answer] = {
    "cut": Answer(cut=True),
    "500": Answer(500),
    "empty": Answer(),
    "html": Answer(body=b"<html>"),
    "bytes": Answer(body=b"\xff\xfe"),
    "list": as_json([]),
    "null": as_json(None),
    "number": as_json({"keys": 1}),
    "members": as_json({"keys": [1, None, "x", {}, {"kid": "k1"}, {"kid": "k1", "kty": "RSA"}]}),
    "deep": Answer(body=b"[" * 100_000),
    "huge": Answer(body=b" " * 300_000 + b'{"keys": []}'),
    "redirect": Answer(302, headers={"location": "http://127.0.0.1:9/"}),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_without_any_keys_the_answer_is_unavailable_not_refused(keys: Web, outage: str) -> None:
    keys.answer = lambda _: OUTAGES[outage]
    sender = PlatformSender(keys.url, AUDIENCE, CALLER)
    for _ in range(10):
        with pytest.raises(Unavailable):
            sender.check(token())
    # Each delivery asking anew would keep the key endpoint from coming back.
    assert len(keys.asked) < 3


@pytest.mark.parametrize("outage", OUTAGES)
def test_keys_read_before_serve_through_an_outage(keys: Web, outage: str) -> None:
    now = [1000.0]
    sender = PlatformSender(keys.url, AUDIENCE, CALLER)
    sender._keys._keys._clock = lambda: now[0]
    sender.check(token())
    keys.answer = lambda _: OUTAGES[outage]
    now[0] += 3600
    for _ in range(10):
        sender.check(token())
    assert len(keys.asked) == 2
    with pytest.raises(Unauthenticated):
        sender.check(token(NEXT_KEY, "k2"))


def test_in_the_cloud_iam_is_the_sender_check(keys: Web) -> None:
    class Settings:
        platform_jwks_url = keys.url
        platform_audience = AUDIENCE
        platform_caller = ""

    assert platform_sender(Settings()) is None
    Settings.platform_caller = CALLER
    made = platform_sender(Settings())
    assert made is not None
    made.check(token())
