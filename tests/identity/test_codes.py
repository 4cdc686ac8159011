"""The code that a page brings from the issuer: exchanged by the function, with its secret and the
verifier of this very sign-in."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from flask import Response

from emulators.plan import ROOT, Plan
from infra.declaration import DECLARATION
from shared.documents import DocumentStore
from shared.identity.browser import NAME
from shared.identity.id_tokens import IDTokens, read_rsa_jwk
from shared.jwks import JWKS
from tests.fixtures.stores import memory_documents
from tests.fixtures.stores import patient as patient
from tests.fixtures.web import Answer, Asked, Web, as_json, serving
from tests.identity.test_identities import begin, fields, joined, ways
from tests.identity.test_sign_in import CLIENT, Issuer, jwk, me, part
from tests.identity.world import CLIENT_SECRET, ORIGIN, Clock, World, at_once, json_of

ISSUER = "https://id.example"
PAGE = {"Refresh-Transport": "cookie", "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}


@dataclass
class Shop:
    """An issuer with its two addresses; `codes` are what it gave out: the nonce and the challenge
    that it was asked with. A code is good once."""

    issuer: Issuer = field(init=False)
    web: Web = field(init=False)
    codes: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def world(self) -> World:
        return self.issuer.world

    def answer(self, asked: Asked) -> Answer:
        if asked.method == "GET":
            return as_json({"keys": [jwk()]})
        form = dict(parse_qsl(asked.body.decode(), strict_parsing=True))
        nonce, challenge = self.codes.pop(form["code"], ("", ""))
        right = (
            form["client_secret"] == "the client's own"
            and form["client_id"] == CLIENT
            and form["redirect_uri"] == f"{ORIGIN}/signed-in"
            and form["grant_type"] == "authorization_code"
            and part(_sha256(form["code_verifier"])) == challenge
        )
        if not right:
            return as_json({"error": "invalid_grant"}, 400)
        return as_json({"id_token": self.issuer.token(nonce), "access_token": "not asked for"})

    def allow(self, begun: dict[str, Any]) -> str:
        """What the page is sent back with by somebody who said yes."""
        query = parse_qs(urlsplit(begun["authorizationUrl"]).query, strict_parsing=True)
        code = f"4/{len(self.codes)}-{begun['nonce']}"
        self.codes[code] = query["nonce"][0], query["code_challenge"][0]
        return code


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def opened(documents: DocumentStore) -> Iterator[Shop]:
    shop = Shop()
    with serving(lambda asked: shop.answer(asked)) as web:
        clock = Clock()
        tokens = IDTokens(
            ISSUER, CLIENT, JWKS(f"{web.url}/certs", read_rsa_jwk, clock.ticks), clock
        )
        world = World(documents, clock=clock, id_tokens=tokens, token_url=f"{web.url}/token")
        shop.issuer, shop.web = Issuer(world, ISSUER), web
        yield shop


@pytest.fixture
def shop() -> Iterator[Shop]:
    yield from opened(memory_documents())


@pytest.fixture
def stored_shop(documents: DocumentStore) -> Iterator[Shop]:
    yield from opened(documents)


def start(world: World, **headers: str) -> dict[str, Any]:
    return json_of(world.call("POST", "/provider/start", headers={**PAGE, **headers}))


def finish(world: World, code: str, proof: str, **headers: str) -> Response:
    body = {"code": code, "proof": proof}
    return world.call("POST", "/provider", body, headers={**PAGE, **headers})


def test_a_page_signs_in_with_a_code_and_sees_no_token_of_the_issuer(stored_shop: Shop) -> None:
    world = stored_shop.world
    begun = start(world)
    code = stored_shop.allow(begun)
    answer = finish(world, code, begun["proof"])
    assert me(world, answer)["email"] == "ada@gmail.com"
    assert answer.headers["Set-Cookie"].startswith(f"{NAME}=")
    assert finish(world, code, begun["proof"]).status_code == 401


def test_the_issuer_is_asked_as_it_wants_to_be(shop: Shop) -> None:
    begun = start(shop.world)
    url = urlsplit(begun["authorizationUrl"])
    asked = dict(parse_qsl(url.query, strict_parsing=True))
    challenge = asked.pop("code_challenge")
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://id.example/authorize"
    assert asked == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": f"{ORIGIN}/signed-in",
        "scope": "openid",
        "state": begun["state"],
        "nonce": begun["nonce"],
        "code_challenge_method": "S256",
        "prompt": "select_account",
    }
    told = {begun["proof"], begun["state"], begun["nonce"], challenge}
    assert len(told) == 4
    assert begun["proof"] not in begun["authorizationUrl"]
    assert "the client's own" not in json.dumps(begun)


def test_nobody_is_sent_to_a_page_that_is_not_ours(shop: Shop) -> None:
    for origin in ("https://evil.example", ORIGIN + ".evil.example", "null", ""):
        assert start(shop.world, Origin=origin)["authorizationUrl"] is None
    begun = start(shop.world)
    code = shop.allow(begun)
    body = {"code": code, "proof": begun["proof"]}
    for headers in ({}, {"Origin": "https://evil.example"}):
        assert shop.world.call("POST", "/provider", body, headers=headers).status_code == 403
    assert shop.codes, "it is not used up"


def test_the_code_of_another_sign_in_is_worthless(shop: Shop) -> None:
    """What a thief of codes brings into somebody's browser, or takes out of it (RFC 7636)."""
    victim, thief = start(shop.world), start(shop.world)
    code = shop.allow(victim)
    assert finish(shop.world, code, thief["proof"]).status_code == 401
    assert shop.world.documents.query("sessions") == []


def test_a_token_of_another_sign_in_is_worthless(shop: Shop) -> None:
    """Of an issuer that mixes them up, or lies."""
    begun = start(shop.world)
    shop.web.answer = lambda asked: (
        shop.answer(asked)
        if asked.method == "GET"
        else as_json({"id_token": shop.issuer.token("of somebody else")})
    )
    assert finish(shop.world, "x", begun["proof"]).status_code == 401


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (lambda _: as_json({"error": "invalid_grant"}, 400), 401),
        # Our own mistakes, and the issuer's: nobody has done anything wrong who signs in.
        (lambda _: as_json({"error": "invalid_client"}, 401), 503),
        (lambda _: as_json({"error": "redirect_uri_mismatch"}, 400), 503),
        (lambda _: as_json({"error": "invalid_grant"}, 500), 503),
        (lambda _: Answer(503, b"<html>"), 503),
        (lambda _: Answer(200, b"<html>"), 503),
        (lambda _: Answer(200, b"[" * 20_000), 503),
        (lambda _: as_json(["id_token"]), 503),
        (lambda _: as_json({"id_token": 7}), 503),
        (lambda _: as_json({"access_token": "x"}), 503),
        (lambda _: as_json({"id_token": "x" * 9000}), 401),
        (lambda _: as_json({"id_token": "x" * 100_000}), 503),
        (lambda _: Answer(302, b"", {"location": "https://evil.example"}), 503),
        (lambda _: Answer(cut=True), 503),
    ],
    ids=range(14),
)
def test_an_answer_that_is_none_opens_nothing(
    shop: Shop, answer: Callable[[Asked], Answer], status: int
) -> None:
    begun = start(shop.world)
    code = shop.allow(begun)
    shop.web.answer = answer
    refused = finish(shop.world, code, begun["proof"])
    assert refused.status_code == status, refused.get_data()
    assert b"invalid_" not in refused.get_data()
    for collection in ("users", "sessions", "signInProofs"):
        assert shop.world.documents.query(collection) == []


def test_an_issuer_that_was_out_is_asked_again_with_another_code(shop: Shop) -> None:
    begun = start(shop.world)
    shop.web.answer = lambda _: Answer(cut=True)
    assert finish(shop.world, shop.allow(begun), begun["proof"]).status_code == 503
    shop.web.answer = shop.answer
    assert finish(shop.world, shop.allow(begun), begun["proof"]).status_code == 200


@pytest.mark.usefixtures("patient")
def test_the_same_code_eight_times_at_once_opens_one_session(stored_shop: Shop) -> None:
    begun = start(stored_shop.world)
    code = stored_shop.allow(begun)
    answers = at_once(8, lambda _: finish(stored_shop.world, code, begun["proof"]).status_code)
    assert sorted(answers) == [200] + [401] * 7
    assert len(stored_shop.world.documents.query("sessions")) == 1


def test_a_made_up_proof_never_has_us_call_the_issuer(shop: Shop) -> None:
    begun = start(shop.world)
    for proof in ("x", begun["proof"][:-4] + "AAAA", begun["nonce"]):
        assert finish(shop.world, "x", proof).status_code == 401
    assert shop.web.asked == []


def test_made_up_codes_are_limited(shop: Shop) -> None:
    world = World(id_tokens=shop.world.id_tokens, token_url=f"{shop.web.url}/token", people=1)
    begun = start(world)
    answers = [finish(world, "x", begun["proof"]) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert "Retry-After" in answers[-1].headers


@pytest.mark.parametrize(
    "body", [{}, {"idToken": "x", "code": "x"}, {"code": ""}, {"code": "x" * 2049}, {"code": 7}]
)
def test_it_is_either_a_token_or_a_code(shop: Shop, body: dict[str, Any]) -> None:
    sent = {"proof": start(shop.world)["proof"], **body}
    assert shop.world.call("POST", "/provider", sent, headers=PAGE).status_code == 422


def test_another_secret_is_in_use_as_soon_as_the_issuer_refuses_the_old_one(shop: Shop) -> None:
    world = shop.world
    begun = start(world)
    assert finish(world, shop.allow(begun), begun["proof"]).status_code == 200
    world.secrets.add(CLIENT_SECRET, b"another")
    shop.web.answer = lambda asked: (
        shop.answer(asked)
        if b"client_secret=another" not in asked.body and asked.method == "GET"
        else as_json({"error": "invalid_client"}, 401)
        if b"client_secret=another" not in asked.body
        else as_json({"id_token": shop.issuer.token(again["nonce"])})
    )
    again = start(world)
    assert finish(world, "x", again["proof"]).status_code == 503
    reads = world.secrets.reads
    assert finish(world, "x", again["proof"]).status_code == 503
    assert world.secrets.reads == reads, "a wrong one is not read again at every try"
    world.clock.advance(seconds=11)
    assert finish(world, "x", again["proof"]).status_code == 200


def test_without_a_secret_nobody_is_asked(shop: Shop) -> None:
    world = shop.world
    world.secrets.disable(world.secrets.versions(CLIENT_SECRET)[0])
    begun = start(world)
    assert finish(world, shop.allow(begun), begun["proof"]).status_code == 503
    assert shop.web.asked == []
    world.secrets.add(CLIENT_SECRET, b"the client's own")
    world.clock.advance(seconds=2)
    assert finish(world, shop.allow(begun), begun["proof"]).status_code == 200


def test_an_account_is_linked_with_a_code_too(stored_shop: Shop) -> None:
    world = stored_shop.world
    ada = joined(world)
    bearer, page = ada["accessToken"], {"Origin": ORIGIN}
    password = {"password": "correct horse"}
    begun = json_of(world.call("POST", "/identities/start", password, bearer, page))
    code = stored_shop.allow(begun)
    body = {"code": code, "proof": begun["proof"]}
    assert world.call("POST", "/identities", body, bearer, page).status_code == 200
    assert [one["email"] for one in ways(world, ada)["items"]] == ["ada@gmail.com"]
    again = json_of(begin(world, ada))
    assert again["authorizationUrl"] is None
    wrong = world.call("POST", "/identities", {**body, "proof": again["proof"]}, bearer, page)
    assert fields(wrong) == ["/proof"]


def test_what_is_public_of_the_issuer_is_told_to_everybody(shop: Shop) -> None:
    answer = shop.world.call("GET", "/providers")
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert json_of(answer)["items"] == [
        {
            "name": "Other",
            "issuer": ISSUER,
            "clientId": CLIENT,
            "authorizationUrl": "https://id.example/authorize",
        }
    ]
    assert json_of(World().call("GET", "/providers")) == {"items": []}


def test_what_verifies_another_issuers_word_is_no_part_of_a_cold_start() -> None:
    auth = DECLARATION.function_by_name["auth"]
    environment = Plan.usual(Path("nowhere")).environment(auth)
    assert environment["OIDC_CLIENT_ID"]
    program = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("main", {str(ROOT / "functions/auth/main.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.other.public.name == "Local ID"
late = ("codes", "id_tokens", "proofs", "provider", "sign_in")
assert not [name for name in late if "shared.identity." + name in sys.modules]
module.other.sign_in
assert all("shared.identity." + name in sys.modules for name in late)
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
