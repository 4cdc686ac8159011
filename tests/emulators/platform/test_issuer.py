"""The local issuer of identities: it refuses what Google would refuse, and what it gives is what
the product takes."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from emulators.platform.issuer import Kept
from shared.errors import Unauthenticated
from shared.identity.id_tokens import IDTokens, read_rsa_jwk
from shared.jwks import JWKS
from tests.emulators.platform.conftest import PROJECT
from tests.emulators.platform.service import Platform, running
from tests.fixtures import http

pytestmark = pytest.mark.emulated
CLIENT, SECRET, BACK = "snaptask.apps.example", "not told", "http://localhost:3000/signed-in"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:43]
ASKED = {
    "response_type": "code",
    "client_id": CLIENT,
    "redirect_uri": BACK,
    "scope": "openid email",
    "state": "a state",
    "nonce": "a nonce",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder, told = tmp_path_factory.mktemp("platform"), f"--client-secret={SECRET}"
    client = (f"--client={CLIENT}", told, f"--redirect={BACK}")
    with running(folder, "127.0.0.1:9", PROJECT, None, *client) as platform:
        yield platform


def ask(issuer: Platform, **changes: str | None) -> httpx.Response:
    query = {name: value for name, value in (ASKED | changes).items() if value is not None}
    return issuer.http.get("/issuer/authorize", params=query)


def answer(issuer: Platform, page: httpx.Response, **form: str) -> httpx.Response:
    assert page.status_code == 200, page.text
    request = re.search(r'name="request" value="([^"]+)"', page.text)
    assert request
    body = {"request": request[1], "email": "ada@example.com", "answer": "allow"} | form
    return issuer.http.post("/issuer/authorize", data=body)


def sent(back: httpx.Response) -> dict[str, str]:
    assert back.status_code == 303, back.text
    url = urlsplit(back.headers["Location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == BACK
    return dict(parse_qsl(url.query, strict_parsing=True))


def exchange(issuer: Platform, code: str, /, **changes: str) -> httpx.Response:
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": BACK,
        "client_id": CLIENT,
        "client_secret": SECRET,
        "code_verifier": VERIFIER,
    }
    return issuer.http.post("/issuer/token", data=body | changes)


def code_of(issuer: Platform, **form: str) -> str:
    return sent(answer(issuer, ask(issuer), **form))["code"]


def test_what_it_gives_is_what_the_product_takes(issuer: Platform) -> None:
    told = sent(answer(issuer, ask(issuer), verified="on"))
    assert told["state"] == "a state"
    given = exchange(issuer, told["code"])
    assert given.headers["Cache-Control"] == "no-store"
    url = f"{issuer.url}/issuer"
    tokens = IDTokens(url, CLIENT, JWKS(f"{url}/certs", read_rsa_jwk), lambda: datetime.now(UTC))
    proved = tokens.verify(given.json()["id_token"], "a nonce")
    assert (proved.issuer, proved.email) == (url, "ada@example.com")
    with pytest.raises(Unauthenticated):
        tokens.verify(given.json()["id_token"], "another nonce")
    again = exchange(issuer, code_of(issuer, email="ADA@example.com")).json()["id_token"]
    unverified = tokens.verify(again, "a nonce")
    assert (unverified.subject, unverified.email) == (proved.subject, None)


def test_it_says_itself_where_everything_is(issuer: Platform) -> None:
    told = issuer.http.get("/issuer/.well-known/openid-configuration").json()
    assert told["issuer"] == f"{issuer.url}/issuer"
    assert http.get(told["jwks_uri"]).json()["keys"][0]["alg"] == "RS256"
    assert http.get(told["authorization_endpoint"], params=ASKED).status_code == 200
    assert http.post(told["token_endpoint"], data={"x": "y"}).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "another"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": BACK + "/"},
        {"redirect_uri": BACK + "?x=1"},
        {"redirect_uri": BACK.replace("localhost", "127.0.0.1")},
        {"redirect_uri": "https://evil.example/signed-in"},
    ],
    ids=str,
)
def test_nobody_is_sent_to_where_the_client_is_not(
    issuer: Platform, changes: dict[str, str | None]
) -> None:
    refused = ask(issuer, **changes)
    assert refused.status_code == 400
    assert "Location" not in refused.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"scope": "email"}, "invalid_scope"),
        ({"nonce": None}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
    ],
    ids=str,
)
def test_a_request_that_would_be_unsafe_goes_back_with_an_error(
    issuer: Platform, changes: dict[str, str | None], error: str
) -> None:
    assert sent(ask(issuer, **changes))["error"] == error


def test_a_parameter_that_comes_twice_is_refused(issuer: Platform) -> None:
    url = "/issuer/authorize?client_id=x"
    assert issuer.http.get(url, params=None).status_code == 400
    twice = [*ASKED.items(), ("redirect_uri", "https://evil.example")]
    query = "&".join(f"{name}={httpx.QueryParams({'v': value})['v']}" for name, value in twice)
    refused = issuer.http.get(f"/issuer/authorize?{query}")
    assert refused.status_code == 400
    assert "twice" in refused.text


def test_whoever_says_no_is_sent_back_with_no(issuer: Platform) -> None:
    told = sent(answer(issuer, ask(issuer), answer="deny"))
    assert told == {"error": "access_denied", "state": "a state"}


def test_a_page_is_answered_once_and_only_by_who_saw_it(issuer: Platform) -> None:
    page = ask(issuer)
    assert answer(issuer, page).status_code == 303
    assert answer(issuer, page).status_code == 400
    forged = {"request": "x", "email": "ada@example.com", "answer": "allow"}
    assert issuer.http.post("/issuer/authorize", data=forged).status_code == 400


def test_what_a_request_says_is_no_markup(issuer: Platform) -> None:
    page = ask(issuer, login_hint='"><script>alert(1)</script>')
    assert "<script>" not in page.text
    refused = ask(issuer, redirect_uri="<script>alert(1)</script>")
    assert "<script>" not in refused.text


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"client_secret": "guessed"}, 401, "invalid_client"),
        ({"client_id": "another"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"code": "x"}, 400, "invalid_grant"),
        ({"redirect_uri": BACK + "/"}, 400, "invalid_grant"),
        ({"code_verifier": "w" * 43}, 400, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_grant"),
    ],
    ids=str,
)
def test_a_code_is_for_whom_it_was_made(
    issuer: Platform, changes: dict[str, str], status: int, error: str
) -> None:
    refused = exchange(issuer, code_of(issuer), **changes)
    assert (refused.status_code, refused.json()) == (status, {"error": error})


def test_a_code_is_good_once(issuer: Platform) -> None:
    code = code_of(issuer)
    assert exchange(issuer, code).status_code == 200
    assert exchange(issuer, code).json() == {"error": "invalid_grant"}
    tried = code_of(issuer)
    assert exchange(issuer, tried, code_verifier="w" * 43).status_code == 400
    assert exchange(issuer, tried).status_code == 400


def test_what_is_kept_grows_old_and_makes_room() -> None:
    now = [0.0]
    kept: Kept[Any] = Kept(60, lambda: now[0])
    first, second = kept.keep("first"), kept.keep("second")
    now[0] = 59.9
    assert kept.take(first) == "first"
    assert kept.take(first) is None
    now[0] = 60
    assert kept.take(second) is None
    names = [kept.keep(number) for number in range(1001)]
    assert kept.take(names[0]) is None
    assert kept.take(names[1]) == 1
