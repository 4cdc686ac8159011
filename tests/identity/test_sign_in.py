"""Signing in by another issuer's word: only its word, only for us, only once, and it opens no
account that somebody lies in wait in."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Response

from shared.documents import Delete, DocumentStore, Update
from shared.errors import Unavailable
from shared.identity.browser import NAME
from shared.identity.id_tokens import GOOGLE, IDTokens, read_rsa_jwk
from shared.identity.proofs import LIFETIME
from shared.jwks import JWKS
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.fixtures.web import Answer, Web, as_json, serving
from tests.identity.test_session_list import status
from tests.identity.world import ORIGIN, PASSWORD, Clock, World, at_once, json_of

CLIENT = "snaptask.apps.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)
ADA = {"sub": "10769150350006150715113082367", "email": "ada@gmail.com", "email_verified": True}


def jwk(key: rsa.RSAPrivateKey = KEY, **changes: Any) -> dict[str, Any]:
    public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    made = {"kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256"}
    return {**made, "n": public["n"], "e": public["e"], **changes}


@pytest.fixture
def keys() -> Iterator[Web]:
    with serving(lambda _: as_json({"keys": [jwk()]})) as web:
        yield web


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class Issuer:
    """In place of Google; `world` is the product that trusts it."""

    world: World
    issuer: str = GOOGLE

    def claims(self, asked: str, **changes: Any) -> dict[str, Any]:
        now = int(self.world.clock.now.timestamp())
        made = {"iss": self.issuer, "aud": CLIENT, "azp": CLIENT, "nonce": asked}
        made |= {"iat": now, "exp": now + 3600, **ADA, **changes}
        return {name: value for name, value in made.items() if value is not ...}

    def token(
        self, asked: str, key: Any = KEY, headers: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        headers = {"alg": "RS256", **({"kid": "one"} if headers is None else headers)}
        signed = f"{part(headers)}.{part(self.claims(asked, **changes))}"
        return f"{signed}.{part(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def start(world: World) -> dict[str, Any]:
    answer = world.post("/provider/start")
    assert answer.status_code == 200, answer.get_data()
    return json_of(answer)


def finish(world: World, proof: str, token: str, **headers: str) -> Response:
    return world.call("POST", "/provider", {"idToken": token, "proof": proof}, headers=headers)


def sign_in(issuer: Issuer, **changes: Any) -> Response:
    begun = start(issuer.world)
    return finish(issuer.world, begun["proof"], issuer.token(begun["nonce"], **changes))


def product(keys: Web, documents: DocumentStore | None = None, issuer: str = GOOGLE) -> Issuer:
    clock = Clock()
    public = JWKS(f"{keys.url}/certs", read_rsa_jwk, clock.ticks)
    tokens = IDTokens(issuer, CLIENT, public, clock)
    documents = documents if documents is not None else memory_documents()
    return Issuer(World(documents, clock=clock, id_tokens=tokens), issuer)


@pytest.fixture
def issuer(keys: Web, documents: DocumentStore) -> Issuer:
    return product(keys, documents)


@pytest.fixture
def quick(keys: Web) -> Issuer:
    return product(keys)


def me(world: World, answer: Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.get_data()
    return json_of(world.call("GET", "/me", bearer=json_of(answer)["accessToken"]))


def how(world: World) -> list[str]:
    return sorted(event["how"] for event in world.events("identity-linked"))


# Whose word counts


def test_somebody_new_gets_an_account_and_the_same_one_again(issuer: Issuer) -> None:
    world = issuer.world
    first = me(world, sign_in(issuer))
    assert (first["email"], first["emailVerified"]) == ("ada@gmail.com", True)
    assert me(world, sign_in(issuer)) == first
    assert how(world) == ["new"]
    assert len(world.events("registered")) == 1
    # The account has no password to guess, and one can be set by mail.
    assert world.post("/login", email="ada@gmail.com", password=PASSWORD).status_code == 401


def test_the_account_is_the_subjects_whatever_his_address_becomes(quick: Issuer) -> None:
    first = me(quick.world, sign_in(quick))
    assert me(quick.world, sign_in(quick, email="ada.new@gmail.com"))["id"] == first["id"]
    assert me(quick.world, sign_in(quick, email=..., email_verified=...))["id"] == first["id"]
    # One that we could not write to says no less who he is.
    assert me(quick.world, sign_in(quick, email="ada@münchen.example"))["id"] == first["id"]
    # Whoever gets the old address later is somebody else, and the account stays the subject's.
    stranger = sign_in(quick, sub="another")
    assert me(quick.world, stranger)["id"] == first["id"], "both prove the mailbox of the account"
    assert how(quick.world) == ["confirmed", "new"]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": GOOGLE + "/"},
        {"iss": "accounts.google.com"},
        {"iss": [GOOGLE]},
        {"iss": ...},
        {"aud": "another.apps.example"},
        {"aud": [CLIENT, "another.apps.example"]},
        {"aud": CLIENT.upper()},
        {"aud": ...},
        {"azp": "another.apps.example"},
        {"nonce": "x"},
        {"nonce": ""},
        {"nonce": None},
        {"nonce": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": ...},
        {"sub": "x" * 256},
        {"sub": "a b"},
        {"sub": "ä"},
        {"sub": "a\n"},
        {"exp": 0},
        {"exp": True},
        {"exp": "9999999999"},
        {"exp": 9999999999},
        {"exp": ...},
        {"iat": ...},
        {"iat": 9999999999},
        {"iat": 1.5},
    ],
    ids=str,
)
def test_a_signed_token_with_a_wrong_claim_is_refused(
    quick: Issuer, changes: dict[str, Any]
) -> None:
    assert sign_in(quick, **changes).status_code == 401
    for collection in ("users", "identities", "sessions", "signInProofs"):
        assert quick.world.documents.query(collection) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "two"},
        {"kid": ""},
        {},
        {"kid": "one", "typ": "at+jwt"},
        {"kid": "one", "crit": ["exp"]},
        {"kid": "one", "jwk": jwk(OTHER)},
        {"kid": "one", "jku": "https://evil.example"},
    ],
    ids=lambda headers: " ".join(headers),
)
def test_a_header_decides_nothing(quick: Issuer, headers: dict[str, Any]) -> None:
    signed_by = OTHER if headers.keys() & {"jwk", "jku"} else KEY
    assert sign_in(quick, key=signed_by, headers=headers).status_code == 401


def test_no_other_algorithm_and_no_other_key_signs(quick: Issuer) -> None:
    begun = start(quick.world)
    claims, headers = quick.claims(begun["nonce"]), {"kid": "one"}
    genuine = quick.token(begun["nonce"])
    public = KEY.public_key().public_numbers().n.to_bytes(256, "big")
    unsigned = part({"alg": "none", "kid": "one"})
    forged = [
        quick.token(begun["nonce"], OTHER),
        jwt.encode(claims, public, "HS256", headers=headers),
        jwt.encode(claims, KEY, "RS384", headers=headers),
        jwt.encode(claims, KEY, "PS256", headers=headers),
        jwt.encode(claims, Ed25519PrivateKey.generate(), "EdDSA", headers=headers),
        f"{unsigned}.{genuine.split('.')[1]}.",
        genuine.rpartition(".")[0] + ".",
        genuine[:-4] + "AAAA",
        genuine + "=",
        genuine + ".x",
        "",
        "..",
        "x" * 8192,
    ]
    for token in forged:
        assert finish(quick.world, begun["proof"], token).status_code == 401, token[:60]
    assert finish(quick.world, begun["proof"], "x" * 8193).status_code == 422
    # All of that used nothing up.
    assert finish(quick.world, begun["proof"], genuine).status_code == 200


@pytest.mark.parametrize(
    "changes",
    [{"alg": "RS512"}, {"alg": None}, {"use": "enc"}, {"kty": "EC"}, {"n": "AQAB"}, {"e": 3}],
    ids=str,
)
def test_keys_for_something_else_verify_nothing(
    quick: Issuer, keys: Web, changes: dict[str, Any]
) -> None:
    keys.answer = lambda _: as_json({"keys": [jwk(OTHER, kid="two"), jwk(**changes)]})
    assert sign_in(quick).status_code == 401
    keys.answer = lambda _: as_json({"keys": [jwk(SMALL), jwk(OTHER, kid="two")]})
    quick.world.clock.advance(minutes=6)
    assert sign_in(quick, key=SMALL).status_code == 401


def test_keys_out_of_reach_are_an_outage_and_kept_ones_bridge_it(quick: Issuer, keys: Web) -> None:
    keys.answer = lambda _: Answer(503)
    begun = start(quick.world)
    token = quick.token(begun["nonce"])
    assert finish(quick.world, begun["proof"], token).status_code == 503
    keys.answer = lambda _: as_json({"keys": [jwk()]})
    quick.world.clock.advance(seconds=2)
    assert finish(quick.world, begun["proof"], token).status_code == 200
    keys.answer = lambda _: Answer(cut=True)
    quick.world.clock.advance(hours=5)
    assert sign_in(quick).status_code == 200


# Where it began, and once


def test_a_token_is_good_once(issuer: Issuer) -> None:
    begun = start(issuer.world)
    token = issuer.token(begun["nonce"])
    answers = at_once(8, lambda _: finish(issuer.world, begun["proof"], token).status_code)
    assert sorted(answers) == [200] + [401] * 7
    assert finish(issuer.world, begun["proof"], token).status_code == 401
    assert len(issuer.world.documents.query("sessions")) == 1


def test_a_token_is_worthless_without_the_proof_that_it_was_asked_for_with(quick: Issuer) -> None:
    victim, thief = start(quick.world), start(quick.world)
    token = quick.token(victim["nonce"])
    for proof in (thief["proof"], "", "x", victim["nonce"], victim["proof"][:-1] + "A"):
        if proof != victim["proof"]:
            assert finish(quick.world, proof, token).status_code == 401
    assert finish(quick.world, victim["proof"], token).status_code == 200


def test_a_proof_is_ours_and_young(quick: Issuer) -> None:
    begun = start(quick.world)
    chance, expires, key, mac = begun["proof"].split(".")
    assert part(hashlib.sha256(begun["proof"].encode()).digest()) == begun["nonce"]
    for proof in (
        f"{chance}.{int(expires) + 60}.{key}.{mac}",
        f"{chance}.{expires}.2.{mac}",
        f"{'A' * 22}.{expires}.{key}.{mac}",
        f"{chance}.{expires}.{key}.{mac} ",
    ):
        token = quick.token(part(hashlib.sha256(proof.encode()).digest()))
        assert finish(quick.world, proof, token).status_code == 401
    quick.world.clock.now += LIFETIME
    token = quick.token(begun["nonce"])
    assert finish(quick.world, begun["proof"], token).status_code == 401


# Whose account it opens


def test_a_confirmed_account_of_the_same_mailbox_is_linked_and_keeps_all(issuer: Issuer) -> None:
    world = issuer.world
    world.register("ada@gmail.com")
    token = world.token("verify-email")
    assert world.post("/verify-email", token=token, password=PASSWORD).status_code == 204
    before = world.login("ada@gmail.com")
    account = me(world, sign_in(issuer))
    assert account["id"] == json_of(world.call("GET", "/me", bearer=before["accessToken"]))["id"]
    assert status(world, before) == (200, 200)
    assert world.login("ada@gmail.com")
    assert how(world) == ["confirmed"]
    (told,) = world.deliver_mails()
    assert (told.to, told.subject) == ("ada@gmail.com", "Another way to sign in to Snaptask")
    assert me(world, sign_in(issuer))["id"] == account["id"]
    assert world.deliver_mails() == [], "it was no new way the second time"


def test_whoever_lies_in_wait_in_an_account_is_thrown_out(issuer: Issuer) -> None:
    """He signed up with her address first, and has a session and a password."""
    world = issuer.world
    world.register("ada@gmail.com", "the attacker's own")
    attacker = world.login("ada@gmail.com", "the attacker's own")
    answer = sign_in(issuer)
    assert me(world, answer)["emailVerified"]
    assert status(world, attacker) == (401, 401)
    again = world.post("/login", email="ada@gmail.com", password="the attacker's own")
    assert again.status_code == 401
    assert status(world, json_of(answer)) == (200, 200)
    assert how(world) == ["taken-over"]


def test_his_sign_in_under_way_meanwhile_opens_a_dead_session(quick: Issuer) -> None:
    world = quick.world
    world.register("ada@gmail.com", "the attacker's own")
    verify, hers = world.passwords.verify, []

    def slow(stored: str | None, password: str) -> bool:
        fits = verify(stored, password)
        if not hers:
            hers.append(sign_in(quick))
        return fits

    world.passwords.verify = slow  # type: ignore[method-assign]
    answer = world.post("/login", email="ada@gmail.com", password="the attacker's own")
    if answer.status_code == 200:
        assert status(world, json_of(answer)) == (401, 401)
    assert status(world, json_of(hers[0])) == (200, 200)


@pytest.mark.parametrize(
    "changes",
    [
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": 1},
        {"email_verified": ...},
        {"email": ...},
        {"email": 7},
        {"email": "not an address"},
        {"email": "ada@gmail.com\n@evil.example"},
        {"email": "ada@münchen.example"},
        {"email": "ada@example.org"},
        {"email": "ada@example.org", "hd": "example.com"},
        {"email": "ada@gmail.com.example.org"},
    ],
    ids=str,
)
def test_an_address_that_the_issuer_does_not_vouch_for_links_nothing(
    quick: Issuer, changes: dict[str, Any]
) -> None:
    world = quick.world
    email = str(changes.get("email", "ada@gmail.com"))
    world.register(email if "@" in email else "ada@gmail.com")
    answer = sign_in(quick, **changes)
    assert answer.status_code == 403, answer.get_data()
    assert world.documents.query("identities") == []
    assert how(world) == []


def test_an_address_of_a_domain_that_the_issuer_hosts_is_vouched_for(quick: Issuer) -> None:
    answer = sign_in(quick, email="Ada@Example.org", hd="example.org")
    assert me(quick.world, answer)["email"] == "Ada@example.org"


def test_another_issuer_vouches_for_what_it_has_verified(keys: Web) -> None:
    other = product(keys, issuer="https://id.example")
    assert me(other.world, sign_in(other, email="ada@example.org"))["email"] == "ada@example.org"
    assert sign_in(other, sub="b", email="b@example.org", email_verified=False).status_code == 403


def test_the_same_subject_of_another_issuer_is_somebody_else(keys: Web) -> None:
    documents = memory_documents()
    google, other = product(keys, documents), product(keys, documents, "https://id.example")
    first = me(google.world, sign_in(google))
    assert me(other.world, sign_in(other, email="eve@example.org"))["id"] != first["id"]


def test_eight_first_times_at_once_make_one_account(issuer: Issuer) -> None:
    world = issuer.world
    begun = [start(world) for _ in range(8)]

    def one(index: int) -> Response:
        return finish(world, begun[index]["proof"], issuer.token(begun[index]["nonce"]))

    answers = at_once(8, one)
    # A fast machine lets some lose every round; they are told to come again.
    assert {answer.status_code for answer in answers} <= {200, 503}
    found = {me(world, answer)["id"] for answer in answers if answer.status_code == 200}
    assert len(found) == 1
    assert len(world.documents.query("users")) == 1


def test_an_account_that_is_being_erased_is_closed(quick: Issuer) -> None:
    world = quick.world
    account = me(world, sign_in(quick))["id"]
    world.documents.commit([Update(f"users/{account}", {"erasingAt": world.clock.now})])
    assert sign_in(quick).status_code == 401
    assert sign_in(quick, sub="another").status_code == 401


@pytest.mark.parametrize("rest", ["nothing", "a tombstone"])
def test_who_erased_his_account_may_come_back_to_a_new_one(quick: Issuer, rest: str) -> None:
    world = quick.world
    account = me(world, sign_in(quick))["id"]
    world.documents.commit([Delete(one.path) for one in world.documents.query("emails")])
    world.documents.commit(
        [
            Delete(f"users/{account}")
            if rest == "nothing"
            else Update(f"users/{account}", {"erasingAt": world.clock.now}, remove=("email",))
        ]
    )
    assert me(world, sign_in(quick))["id"] != account


@pytest.mark.parametrize("moment", ["commit", "after commit"])
@pytest.mark.parametrize("call", range(3))
def test_cut_off_anywhere_the_next_sign_in_finds_one_account(
    keys: Web, moment: str, call: int
) -> None:
    count = -1

    def cut(name: str, _: int) -> None:
        nonlocal count
        count += name == moment
        if count == call and name == moment:
            raise Unavailable

    quick = product(keys, WatchedDocuments(memory_documents(), cut))
    assert sign_in(quick).status_code == 503
    account = me(quick.world, sign_in(quick))
    assert account["email"] == "ada@gmail.com"
    assert len(quick.world.documents.query("users")) == 1
    assert how(quick.world) == ["new"]


# How it is offered


def test_where_no_issuer_is_configured_there_is_no_such_thing() -> None:
    world = World()
    for path, body in (("/provider/start", None), ("/provider", {"idToken": "x", "proof": "x"})):
        assert world.call("POST", path, body).status_code == 404


def test_a_page_gets_its_refresh_token_in_the_cookie(quick: Issuer) -> None:
    begun = start(quick.world)
    token = quick.token(begun["nonce"])
    headers = {"Refresh-Transport": "cookie", "Origin": "https://evil.example"}
    assert finish(quick.world, begun["proof"], token, **headers).status_code == 403
    headers |= {"Origin": ORIGIN}
    answer = finish(quick.world, begun["proof"], token, **headers)
    assert answer.headers["Set-Cookie"].startswith(f"{NAME}=")
    assert "refreshToken" not in json_of(answer)
    assert begun["issuer"] == GOOGLE
    assert begun["clientId"] == CLIENT
