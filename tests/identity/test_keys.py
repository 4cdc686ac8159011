"""Keys: announced before they sign, kept through an outage, fetched no more than needed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from shared.cached import Cached
from shared.errors import Unauthenticated, Unavailable
from shared.identity.keys import ANNOUNCED, read_mac_key, read_signing_key
from shared.identity.tokens import JwksKeys, TokenVerifier
from shared.jwks import JWKS
from tests.fixtures.web import Answer, Web, as_json, serving
from tests.identity.world import (
    HMAC,
    ISSUER,
    PASSWORD,
    SIGNING,
    Clock,
    World,
    at_once,
    json_of,
    pem,
)

KEY, NEXT = read_signing_key(pem()), read_signing_key(pem())


def announced(*keys: Any) -> Answer:
    return as_json({"keys": [key.jwk.model_dump() for key in keys]})


@pytest.fixture
def issuer() -> Iterator[Web]:
    with serving(lambda _: announced(KEY)) as web:
        yield web


class Ticks:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def kids(world: World) -> list[str]:
    return [one["kid"] for one in json_of(world.call("GET", "/.well-known/jwks.json"))["keys"]]


def kid_of(token: str) -> str:
    kid: str = jwt.get_unverified_header(token)["kid"]
    return kid


def test_the_key_set_is_public_fresh_for_minutes_and_holds_no_private_key() -> None:
    answer = World().call("GET", "/.well-known/jwks.json")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    (key,) = json_of(answer)["keys"]
    assert set(key) == {"kty", "crv", "use", "alg", "kid", "x"}


def test_a_key_id_is_the_thumbprint_of_the_key() -> None:
    """The example of RFC 8037, appendices A.2 and A.3."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    example = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    assert read_signing_key(example).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_new_key_is_announced_before_it_signs_and_the_old_one_stays_valid() -> None:
    world = World()
    old = world.signed_in()
    (first,) = kids(world)
    world.secrets.add(SIGNING, pem(), world.clock.now)
    world.clock.advance(minutes=6)
    second, also_first = kids(world)
    assert also_first == first
    assert second != first
    assert kid_of(world.login()["accessToken"]) == first
    world.clock.now += ANNOUNCED
    new = world.login()["accessToken"]
    assert kid_of(new) == second
    assert world.call("GET", "/me", bearer=new).status_code == 200
    refreshed = json_of(world.refresh(old["refreshToken"]))
    assert kid_of(refreshed["accessToken"]) == second


def test_an_announced_key_reaches_every_verifier_before_it_signs() -> None:
    """The newest token must be taken by a verifier whose caches are as old as they may get."""
    ring, http, verifier = (timedelta(seconds=300),) * 3
    assert ring + http + verifier < ANNOUNCED


def test_a_disabled_key_makes_its_tokens_worthless() -> None:
    world = World()
    (old,) = world.secrets.versions(SIGNING)
    token = world.signed_in()["accessToken"]
    world.secrets.add(SIGNING, pem(), world.clock.now - timedelta(days=1))
    world.secrets.disable(old)
    world.clock.advance(minutes=6)
    assert len(kids(world)) == 1
    assert world.call("GET", "/me", bearer=token).status_code == 401
    assert world.call("GET", "/me", bearer=world.login()["accessToken"]).status_code == 200


def test_the_first_key_of_a_new_project_signs_at_once() -> None:
    world = World()
    (old,) = world.secrets.versions(SIGNING)
    world.secrets.disable(old)
    world.secrets.add(SIGNING, pem(), world.clock.now)
    token = world.signed_in()["accessToken"]
    assert world.call("GET", "/me", bearer=token).status_code == 200
    # One that follows at once is announced first, like any other.
    world.secrets.add(SIGNING, pem(), world.clock.now)
    world.clock.advance(minutes=6)
    assert kid_of(world.login()["accessToken"]) == kid_of(token) != kids(world)[0]


def test_a_version_that_holds_no_key_takes_no_other_along() -> None:
    world = World()
    for payload in (b"", b"not a key", b"\xff" * 99):
        world.secrets.add(SIGNING, payload, world.clock.now)
    world.clock.now += ANNOUNCED
    assert len(kids(world)) == 1
    assert world.call("GET", "/me", bearer=world.signed_in()["accessToken"]).status_code == 200


def test_the_only_key_disabled_is_worthless_everywhere_until_there_is_another(issuer: Web) -> None:
    world, ticks = World(), Ticks()
    tokens = world.signed_in()
    (old,) = world.secrets.versions(SIGNING)
    path = "/.well-known/jwks.json"
    issuer.answer = lambda _: Answer(200, world.call("GET", path).get_data())
    elsewhere = JWKS(issuer.url, lambda jwk: jwk["x"], ticks)
    kid = kid_of(tokens["accessToken"])
    assert elsewhere.key(kid)
    world.secrets.disable(old)
    world.clock.advance(minutes=6)
    ticks.now += 301
    assert elsewhere.key(kid) is None
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 503
    assert world.refresh(tokens["refreshToken"]).status_code == 503
    assert world.post("/login", email="ada@example.org", password=PASSWORD).status_code == 503
    world.secrets.add(SIGNING, pem(), world.clock.now)
    world.clock.advance(seconds=11)
    ticks.now += 11
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
    renewed = json_of(world.refresh(tokens["refreshToken"]))["accessToken"]
    assert elsewhere.key(kid_of(renewed))
    assert world.call("GET", "/me", bearer=renewed).status_code == 200


def test_without_a_key_for_addresses_nobody_is_made_or_found() -> None:
    """A user whose address nothing claims could never sign in."""
    world = World()
    world.register()
    world.secrets.disable(world.secrets.versions(HMAC)[0])
    world.clock.advance(minutes=6)
    assert world.register("eve@example.org").status_code == 503
    assert world.post("/login", email="ada@example.org", password=PASSWORD).status_code == 503
    assert len(world.documents.query("users")) == 1


def test_secrets_out_of_reach_are_bridged_by_a_running_process() -> None:
    world = World()
    token = world.signed_in()["refreshToken"]
    world.secrets.broken = True
    world.clock.advance(hours=12)
    token = json_of(world.refresh(token))["refreshToken"]
    assert len(kids(world)) == 1
    # A process that starts now can only ask to come again.
    world.start()
    answer = world.refresh(token)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_secrets_are_read_once_and_looked_through_again_in_minutes() -> None:
    world = World()
    world.secrets.reads = 0
    world.signed_in()
    for _ in range(10):
        world.login()
    # The list and the one version of each of two secrets.
    assert world.secrets.reads == 4
    world.clock.advance(minutes=6)
    world.login()
    assert world.secrets.reads == 6


def private_pem(key: Any, encryption: Any = None) -> bytes:
    made: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return made


@pytest.mark.parametrize(
    "payload",
    [
        private_pem(ec.generate_private_key(ec.SECP256R1())),
        private_pem(ed448.Ed448PrivateKey.generate()),
        private_pem(KEY.private, BestAvailableEncryption(b"x")),
        pem()[:-30],
        b"k" * 32,
    ],
    ids=["P-256", "Ed448", "encrypted", "cut", "no PEM"],
)
def test_only_a_plain_ed25519_key_signs(payload: bytes) -> None:
    with pytest.raises(ValueError):
        read_signing_key(payload)


def test_a_short_key_makes_no_macs() -> None:
    with pytest.raises(ValueError):
        read_mac_key(b"k" * 31)
    assert read_mac_key(b"k" * 32)


def test_a_mac_of_one_purpose_is_none_of_another() -> None:
    macs = World().macs
    made = macs.mac(1, "refresh-token", "x")
    assert made == macs.mac(1, "refresh-token", "x")
    assert made not in (macs.mac(1, "address", "x"), macs.mac(1, "refresh", "-tokenx"), None)
    assert macs.mac(2, "refresh-token", "x") is None


def test_a_key_set_is_fetched_once_for_many_tokens(issuer: Web) -> None:
    keys = JwksKeys(f"{issuer.url}/jwks")
    found = at_once(20, lambda _: keys.public_key(KEY.kid))
    assert all(one == KEY.public for one in found)
    assert [asked.path for asked in issuer.asked] == ["/jwks"]


def test_unknown_key_ids_do_not_make_us_call_out(issuer: Web) -> None:
    ticks = Ticks()
    keys = JWKS(issuer.url, lambda jwk: jwk["x"], ticks)
    for number in range(200):
        assert keys.key(f"unknown {number}") is None
    assert len(issuer.asked) == 1
    ticks.now += 11
    for number in range(200):
        assert keys.key(f"unknown {number}") is None
    assert len(issuer.asked) == 2


def test_a_key_that_was_just_announced_is_found_before_the_set_is_old(issuer: Web) -> None:
    ticks = Ticks()
    keys = JWKS(issuer.url, lambda jwk: jwk["x"], ticks)
    assert keys.key(NEXT.kid) is None
    issuer.answer = lambda _: announced(NEXT, KEY)
    ticks.now += 11
    assert keys.key(NEXT.kid) == NEXT.jwk.x


def test_a_withdrawn_key_is_forgotten_when_the_set_is_old(issuer: Web) -> None:
    ticks = Ticks()
    keys = JWKS(issuer.url, lambda jwk: jwk["x"], ticks)
    assert keys.key(KEY.kid)
    issuer.answer = lambda _: announced(NEXT)
    ticks.now += 299
    assert keys.key(KEY.kid)
    ticks.now += 2
    assert keys.key(KEY.kid) is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(500, b"oops"),
        Answer(302, headers={"location": "/elsewhere"}),
        Answer(200, b"<html>"),
        Answer(200, b"[" * 100_000),
        Answer(200, announced(KEY).body + b" " * 256 * 1024),
        as_json({"keys": "none"}),
        as_json({"keys": [None, 1, "x", []]}),
        as_json([]),
        Answer(cut=True),
    ],
)
def test_a_key_set_that_cannot_be_read_is_an_outage(issuer: Web, answer: Answer) -> None:
    ticks = Ticks()
    kept = JWKS(issuer.url, lambda jwk: jwk["x"], ticks)
    assert kept.key(KEY.kid)
    issuer.answer = lambda _: answer
    ticks.now += 3600
    assert kept.key(KEY.kid)
    with pytest.raises(Unavailable):
        JwksKeys(issuer.url).public_key(KEY.kid)
    assert {asked.path for asked in issuer.asked} == {"/"}


def test_an_issuer_that_comes_up_late_is_found() -> None:
    ticks = Ticks()
    with serving(lambda _: Answer(503)) as web:
        keys = JWKS(web.url, lambda jwk: jwk["x"], ticks)
        for _ in range(20):
            with pytest.raises(Unavailable):
                keys.key(KEY.kid)
        assert len(web.asked) == 1
        web.answer = lambda _: announced(KEY)
        ticks.now += 1.1
        assert keys.key(KEY.kid)


def test_foreign_kinds_in_a_key_set_are_left_out(issuer: Web) -> None:
    ours = KEY.jwk.model_dump()
    odd = [
        {**ours, "kid": "other use", "use": "enc"},
        {**ours, "kid": "other alg", "alg": "ES256"},
        {**ours, "kid": "other curve", "crv": "Ed448"},
        {**ours, "kid": "other type", "kty": "oct"},
        {**ours, "kid": "short", "x": ours["x"][:-4]},
        {**ours, "kid": "no text", "x": 1},
        {**ours, "kid": "not canonical", "x": ours["x"] + "="},
        {"kid": "nothing"},
        {"kty": "OKP"},
    ]
    issuer.answer = lambda _: as_json({"keys": [*odd, ours]})
    keys = JwksKeys(issuer.url)
    assert keys.public_key(KEY.kid) == KEY.public
    for member in odd:
        assert keys.public_key(str(member.get("kid"))) is None


def test_a_function_takes_the_tokens_of_the_auth_function_by_its_key_set(issuer: Web) -> None:
    world = World()
    token = world.signed_in()["accessToken"]
    body = world.call("GET", "/.well-known/jwks.json").get_data()
    issuer.answer = lambda _: Answer(200, body)
    verifier = TokenVerifier(JwksKeys(issuer.url), ISSUER, world.clock)
    assert verifier.authenticate(token).user
    stranger = World().signed_in()["accessToken"]
    with pytest.raises(Unauthenticated):
        verifier.authenticate(stranger)
    assert json.loads(body)["keys"]


def test_an_old_value_serves_others_while_one_renews_it() -> None:
    ticks, entered, release = Ticks(), threading.Event(), threading.Event()
    values = iter(["old", "new"])

    def fetch() -> str:
        value = next(values)
        if value == "new":
            entered.set()
            assert release.wait(10)
        return value

    cached = Cached(fetch, live=60, pause=10, clock=ticks)
    assert cached.get() == "old"
    ticks.now += 61
    renewing: list[str] = []
    thread = threading.Thread(target=lambda: renewing.append(cached.get()))
    thread.start()
    assert entered.wait(10)
    assert at_once(8, lambda _: cached.get()) == ["old"] * 8
    release.set()
    thread.join(10)
    assert (renewing, cached.get()) == (["new"], "new")


def test_those_who_wait_for_the_first_value_do_not_all_ask_for_it() -> None:
    asked = []

    def fetch() -> str:
        asked.append(1)
        raise Unavailable

    cached = Cached(fetch, live=60, pause=10, clock=Ticks())

    def one(_: int) -> bool:
        try:
            return bool(cached.get())
        except Unavailable:
            return False

    assert not any(at_once(16, one))
    assert len(asked) == 1


def test_an_outage_is_looked_after_once_in_a_while() -> None:
    clock = Clock()
    asked = []

    def fetch() -> str:
        asked.append(1)
        if len(asked) > 1:
            raise Unavailable
        return "kept"

    cached = Cached(fetch, live=60, pause=10, clock=clock.ticks)
    for _ in range(600):
        assert cached.get() == "kept"
        clock.advance(seconds=1)
    assert 50 <= len(asked) <= 56
