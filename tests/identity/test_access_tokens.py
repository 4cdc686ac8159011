"""An access token has exactly one form; whatever differs in a byte, a name or a moment is none."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from shared.errors import Unauthenticated, Unavailable
from shared.identity import tokens
from shared.identity.keys import read_signing_key
from shared.identity.tokens import TokenSigner, TokenVerifier
from shared.ids import derived_id
from tests.identity.world import ISSUER, Clock, World, pem

USER, SESSION = derived_id("ada"), derived_id("session")
KEY = read_signing_key(pem())
OTHER = read_signing_key(pem())
CLOCK = Clock()
NOW = int(CLOCK.now.timestamp())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class OneKey:
    def current(self) -> Any:
        return KEY

    def public_key(self, kid: str) -> Any:
        return KEY.public if kid == KEY.kid else None


VERIFIER = TokenVerifier(OneKey(), ISSUER, CLOCK)
GENUINE = TokenSigner(OneKey(), ISSUER, CLOCK).sign(USER, SESSION)
HEADER = {"alg": "EdDSA", "kid": KEY.kid, "typ": "at+jwt"}
CLAIMS = {
    "iss": ISSUER,
    "sub": USER,
    "sid": SESSION,
    "aud": "snaptask-api",
    "iat": NOW,
    "exp": NOW + 600,
    "jti": "x",
}


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64url_encode(raw).decode()


def forged(header: Any = HEADER, claims: Any = CLAIMS, key: Any = KEY) -> str:
    """A token signed with our key, or another, whatever it says."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(key.private.sign(signed.encode()))}"


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


def is_refused(token: str) -> bool:
    try:
        VERIFIER.authenticate(token)
    except Unauthenticated:
        return True
    return False


def test_our_token_says_who_calls() -> None:
    caller = VERIFIER.authenticate(GENUINE)
    assert (caller.user, caller.session) == (USER, SESSION)
    assert (caller.claims["iat"], caller.claims["exp"]) == (NOW, NOW + 600)
    assert not is_refused(forged())


def test_another_implementation_reads_our_token() -> None:
    claims = jwt.decode(
        GENUINE,
        KEY.public,
        algorithms=["EdDSA"],
        audience="snaptask-api",
        issuer=ISSUER,
        options={"verify_iat": False, "verify_exp": False},
    )
    assert without(claims, "jti") == without(CLAIMS, "jti")
    assert jwt.get_unverified_header(GENUINE) == HEADER
    jwk = jwt.PyJWK(KEY.jwk.model_dump())
    assert jwt.PyJWS().decode(GENUINE, jwk.key, algorithms=["EdDSA"])


def test_our_verifier_reads_what_another_implementation_made() -> None:
    made = jwt.encode(CLAIMS, KEY.private, "EdDSA", headers={"typ": "at+jwt", "kid": KEY.kid})
    assert not is_refused(made)


def test_no_two_tokens_are_the_same() -> None:
    signer = TokenSigner(OneKey(), ISSUER, CLOCK)
    assert len({signer.sign(USER, SESSION) for _ in range(100)}) == 100


@pytest.mark.parametrize("name", ["iss", "sub", "sid", "aud", "iat", "exp"])
def test_a_token_that_lacks_a_claim_is_refused(name: str) -> None:
    assert is_refused(forged(claims=without(CLAIMS, name)))
    assert is_refused(forged(claims={**CLAIMS, name: None}))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"aud": "another-api"},
        {"aud": ["snaptask-api", "another-api"]},
        {"sub": ""},
        {"sub": "../users/x"},
        {"sub": USER.upper()},
        {"sub": USER + "\n"},
        {"sub": 7},
        {"sid": "x"},
        {"sid": {"id": SESSION}},
        {"exp": NOW - 10},
        {"iat": NOW - 900, "exp": NOW - 300},
        {"iat": NOW + 11, "exp": NOW + 611},
        {"iat": NOW + 1, "exp": NOW + 1},
        {"exp": str(NOW + 600)},
        {"exp": NOW + 600.5},
        {"exp": True},
        {"iat": False},
        {"iat": str(NOW)},
        {"exp": 2**60},
    ],
)
def test_a_signed_token_with_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    assert is_refused(forged(claims=CLAIMS | changes))


@pytest.mark.parametrize(
    "header",
    [
        {**HEADER, "alg": "none"},
        {**HEADER, "alg": "HS256"},
        {**HEADER, "alg": "RS256"},
        {**HEADER, "alg": "eddsa"},
        {**HEADER, "alg": ["EdDSA"]},
        {**HEADER, "typ": "JWT"},
        {**HEADER, "typ": "AT+JWT"},
        {**HEADER, "typ": None},
        {**HEADER, "kid": OTHER.kid},
        {**HEADER, "kid": ""},
        {**HEADER, "kid": 1},
        {**HEADER, "kid": "../../etc/passwd"},
        {**HEADER, "crit": ["exp"]},
        {**HEADER, "crit": []},
        {**HEADER, "b64": False},
        {**HEADER, "cty": "JWT"},
        {**HEADER, "jku": "https://evil.example/jwks"},
        {**HEADER, "jwk": OTHER.jwk.model_dump()},
        {**HEADER, "x5u": "https://evil.example/x"},
        {"alg": "EdDSA", "typ": "at+jwt"},
        {"alg": "EdDSA", "kid": KEY.kid},
        {"kid": KEY.kid, "typ": "at+jwt"},
        {},
        [],
        "EdDSA",
        None,
    ],
)
def test_a_signed_token_with_another_header_is_refused(header: Any) -> None:
    assert is_refused(forged(header))


def test_an_unsigned_token_is_refused() -> None:
    for header in (HEADER, {**HEADER, "alg": "none"}):
        assert is_refused(f"{part(header)}.{part(CLAIMS)}.")
        assert is_refused(f"{part(header)}.{part(CLAIMS)}")


def test_our_public_key_is_nobodys_shared_secret() -> None:
    for encoded in (
        b"",
        KEY.public.public_bytes_raw(),
        KEY.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        KEY.jwk.x.encode(),
    ):
        for alg in ("HS256", "EdDSA"):
            signed = f"{part({**HEADER, 'alg': alg})}.{part(CLAIMS)}"
            mac = hmac.digest(encoded, signed.encode(), "sha256")
            assert is_refused(f"{signed}.{part(mac)}")


def test_a_token_of_another_key_is_refused_whatever_key_it_names() -> None:
    assert is_refused(forged(key=OTHER))
    assert is_refused(forged({**HEADER, "kid": OTHER.kid}, key=OTHER))
    headers = {"typ": "at+jwt", "kid": KEY.kid}
    assert is_refused(jwt.encode(CLAIMS, RSA_KEY, "RS256", headers=headers))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        json.dumps(CLAIMS).encode() + b"x",
        json.dumps(CLAIMS).encode()[:-1] + b', "sub": "' + USER.encode() + b'"}',
        json.dumps(CLAIMS).replace(str(NOW + 600), "Infinity").encode(),
        json.dumps(CLAIMS).replace(str(NOW + 600), "1e400").encode(),
        json.dumps(CLAIMS).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode(),
        b"\xff",
        b"[" * 300,
    ],
)
def test_a_signed_payload_that_can_be_read_in_two_ways_is_refused(payload: bytes) -> None:
    assert is_refused(forged(claims=payload))


def test_a_token_of_another_size_or_shape_is_refused() -> None:
    header, payload, signature = GENUINE.split(".")
    for token in (
        "",
        ".",
        "..",
        header,
        f"{header}.{payload}",
        f"{GENUINE}.",
        f"{GENUINE}.{signature}",
        f".{GENUINE}",
        f"{GENUINE}=",
        f"{header}=.{payload}.{signature}",
        f"{header}.{payload}==.{signature}",
        f" {GENUINE}",
        f"{GENUINE}\n",
        f"{header}.{payload}.{signature}AA",
        f"{header}.{payload}.{signature[:-2]}",
        f"{header}.{payload}.{signature.swapcase()}",
        forged(claims={**CLAIMS, "pad": "x" * 1000}),
    ):
        assert is_refused(token), token


def test_base64_that_is_not_canonical_is_refused() -> None:
    """64 bytes leave four bits of the last character unused; a lenient reader ignores them."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(GENUINE[-1])
    same_bytes = [alphabet[last ^ bits] for bits in range(1, 16)]
    signature = GENUINE.rpartition(".")[2]
    raw = base64.urlsafe_b64decode(signature + "==")
    for char in same_bytes:
        assert base64.urlsafe_b64decode(signature[:-1] + char + "==") == raw
        assert is_refused(GENUINE[:-1] + char)


@pytest.mark.proof
def test_no_single_bit_of_a_token_can_be_flipped() -> None:
    for position, char in enumerate(GENUINE):
        for bit in range(7):
            flipped = chr(ord(char) ^ (1 << bit))
            assert is_refused(GENUINE[:position] + flipped + GENUINE[position + 1 :])


@pytest.mark.proof
@given(st.data())
def test_no_piece_of_a_token_can_be_replaced(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(GENUINE)))
    end = data.draw(st.integers(start, min(len(GENUINE), start + 8)))
    piece = data.draw(st.text(max_size=8))
    changed = GENUINE[:start] + piece + GENUINE[end:]
    assert changed == GENUINE or is_refused(changed)


@given(st.binary(max_size=120), st.binary(max_size=120))
def test_whatever_is_in_a_token_nothing_but_a_refusal_comes_out(head: bytes, body: bytes) -> None:
    assert is_refused(forged(head, body))
    assert is_refused(forged(claims=body))


def test_a_token_lives_ten_minutes_and_the_clocks_may_differ_a_little() -> None:
    clock = Clock()
    verifier = TokenVerifier(OneKey(), ISSUER, clock)
    clock.advance(seconds=-10)
    assert verifier.authenticate(GENUINE)
    clock.advance(seconds=-1)
    with pytest.raises(Unauthenticated):
        verifier.authenticate(GENUINE)
    clock.now = CLOCK.now
    clock.advance(seconds=609)
    assert verifier.authenticate(GENUINE)
    clock.advance(seconds=1)
    with pytest.raises(Unauthenticated):
        verifier.authenticate(GENUINE)


class Announced:
    """Keys that the issuer announces now; each counts how often it verified."""

    def __init__(self) -> None:
        self.verified = 0
        self.announces = True
        self.key = KEY

    def public_key(self, kid: str) -> Any:
        return self if self.announces and kid == KEY.kid else None

    def verify(self, signature: bytes, signed: bytes) -> None:
        self.verified += 1
        self.key.public.verify(signature, signed)


def test_a_signature_is_verified_once_and_everything_else_each_time() -> None:
    clock, keys = Clock(), Announced()
    verifier = TokenVerifier(keys, ISSUER, clock)
    assert verifier.authenticate(GENUINE) == verifier.authenticate(GENUINE)
    assert keys.verified == 1
    clock.advance(seconds=610)
    with pytest.raises(Unauthenticated):
        verifier.authenticate(GENUINE)
    clock.now = CLOCK.now
    assert verifier.authenticate(GENUINE)
    keys.announces = False
    with pytest.raises(Unauthenticated):
        verifier.authenticate(GENUINE)
    assert keys.verified == 1


def test_a_verified_token_is_nothing_to_another_key_under_the_same_name() -> None:
    keys: list[Any] = [Announced()]
    source = Announced()
    source.public_key = lambda kid: keys[-1]  # type: ignore[method-assign]
    verifier = TokenVerifier(source, ISSUER, CLOCK)
    assert verifier.authenticate(GENUINE)
    keys.append(Announced())
    keys[-1].key = OTHER
    with pytest.raises(Unauthenticated):
        verifier.authenticate(GENUINE)


def test_a_bad_signature_is_remembered_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST", 2)
    keys = Announced()
    verifier = TokenVerifier(keys, ISSUER, CLOCK)
    assert verifier.authenticate(GENUINE)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            verifier.authenticate(forged(key=OTHER))
    assert keys.verified == 6
    assert verifier.authenticate(GENUINE)
    assert keys.verified == 6
    # Two others of ours take its place.
    for number in range(2):
        verifier.authenticate(forged(claims={**CLAIMS, "jti": str(number)}))
    verifier.authenticate(GENUINE)
    assert keys.verified == 9


def test_keys_out_of_reach_are_told_apart_from_a_bad_token() -> None:
    class NoKeys:
        def public_key(self, kid: str) -> Any:
            raise Unavailable

    with pytest.raises(Unavailable):
        TokenVerifier(NoKeys(), ISSUER, CLOCK).authenticate(GENUINE)
    # What cannot be ours is refused without asking anybody.
    for header in (
        {**HEADER, "alg": "none"},
        {**HEADER, "kid": "x"},
        {**HEADER, "kid": "../x" * 11},
    ):
        with pytest.raises(Unauthenticated):
            TokenVerifier(NoKeys(), ISSUER, CLOCK).authenticate(forged(header))


def test_a_refused_token_is_answered_with_a_challenge_and_no_reason() -> None:
    world = World()
    genuine = world.signed_in()["accessToken"]
    for bearer in (genuine[:-1], forged(), "x", ""):
        answer = world.call("GET", "/me", bearer=bearer)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "detail" not in answer.get_json(force=True)
