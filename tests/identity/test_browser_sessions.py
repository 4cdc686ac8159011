"""A page never holds its refresh token, and no other page can use it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Response

from shared.errors import Forbidden
from shared.identity.browser import NAME, RefreshCookies
from tests.identity.world import ORIGIN, PASSWORD, World, at_once, json_of

TOKEN = re.compile(r"[a-z2-7]{20}\.\d+\.\d+\.[A-Za-z0-9_-]{43}")
OURS = {"Refresh-Transport": "cookie", "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
CREDENTIALS = {"email": "ada@example.org", "password": PASSWORD}
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": ORIGIN + "."},
    {"Origin": ORIGIN.replace("https", "http")},
    {"Origin": f"{ORIGIN}:8443"},
    {"Origin": ORIGIN.upper()},
    {"Origin": ""},
    {"Origin": None},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
]


def send(
    world: World, path: str, cookie: str | None = None, body: Any = None, **changes: str | None
) -> Response:
    """As a page of ours does; `changes` are headers by name, None leaves one out."""
    headers: dict[str, str | None] = {**OURS, **changes}
    if cookie is not None:
        headers["Cookie"] = cookie
    sent = {name: value for name, value in headers.items() if value is not None}
    return world.call("POST", path, body, headers=sent)


def jar(answer: Response) -> str:
    """What a browser would send back."""
    (cookie,) = answer.headers.getlist("Set-Cookie")
    return str(cookie).partition(";")[0]


def signed_in(world: World) -> str:
    world.register()
    answer = send(world, "/login", body=CREDENTIALS)
    assert answer.status_code == 200, answer.get_data()
    return jar(answer)


def test_the_cookie_is_one_that_only_a_browser_and_only_our_host_can_use(world: World) -> None:
    world.register()
    (cookie,) = send(world, "/login", body=CREDENTIALS).headers.getlist("Set-Cookie")
    value, *attributes = cookie.split("; ")
    assert re.fullmatch(rf"__Host-snaptask-refresh={TOKEN.pattern}", value)
    assert set(attributes) == {
        "Path=/",
        "Secure",
        "HttpOnly",
        "SameSite=Strict",
        f"Max-Age={7 * 86400}",
    }


def test_no_answer_to_a_page_has_the_refresh_token_in_its_body(world: World) -> None:
    world.register()
    login = send(world, "/login", body=CREDENTIALS)
    refreshed = send(world, "/refresh", jar(login))
    for answer in (login, refreshed):
        assert set(json_of(answer)) == {"accessToken", "tokenType", "expiresIn"}
        assert not TOKEN.search(answer.get_data(as_text=True))
        assert answer.headers["Cache-Control"] == "no-store"
    assert jar(refreshed) != jar(login)
    me = world.call("GET", "/me", bearer=json_of(refreshed)["accessToken"])
    assert me.status_code == 200


def test_a_client_that_asks_for_no_cookie_gets_none(world: World) -> None:
    world.register()
    headers = {"Origin": ORIGIN}
    login = world.call("POST", "/login", CREDENTIALS, headers=headers)
    token = json_of(login)["refreshToken"]
    refreshed = world.call("POST", "/refresh", {"refreshToken": token}, headers=headers)
    logout = world.call("POST", "/logout", {"refreshToken": token}, headers=headers)
    assert (refreshed.status_code, logout.status_code) == (200, 204)
    for answer in (login, refreshed, logout):
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("changes", FOREIGN, ids=str)
def test_a_page_that_is_not_ours_signs_in_refreshes_and_ends_nothing(
    changes: dict[str, str | None],
) -> None:
    world = World()
    cookie = signed_in(world)
    before = world.documents.query("sessions")
    for path, body in (("/login", CREDENTIALS), ("/refresh", None), ("/logout", None)):
        answer = send(world, path, cookie, body, **changes)
        assert answer.status_code == 403, path
        assert "Set-Cookie" not in answer.headers
    assert world.documents.query("sessions") == before


def test_the_cookie_alone_does_nothing() -> None:
    """What a form or an image of another site could make a browser send at most."""
    world = World()
    cookie = signed_in(world)
    before = world.documents.query("sessions")
    for path in ("/refresh", "/logout"):
        answer = send(world, path, cookie, **{"Refresh-Transport": None})
        assert answer.status_code == 422, path
        assert json_of(answer)["errors"][0]["pointer"] == "/refreshToken"
    assert world.documents.query("sessions") == before


@pytest.mark.parametrize("value", ["", "body", "Cookie", "cookie,cookie", "true"])
def test_a_transport_that_there_is_not_is_refused(value: str) -> None:
    world = World()
    cookie = signed_in(world)
    for path, body in (("/login", CREDENTIALS), ("/refresh", None), ("/logout", None)):
        answer = send(world, path, cookie, body, **{"Refresh-Transport": value})
        assert answer.status_code == 422, path


def test_another_site_is_not_allowed_to_send_the_header() -> None:
    """The preflight of a page elsewhere, even of an origin that may call us with a bearer token:
    the header is not among those it may send, and credentials are not among what it may use."""
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "refresh-transport",
    }
    answer = World().call("OPTIONS", "/refresh", headers=headers)
    assert "refresh-transport" not in answer.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_token_in_both_places_is_a_question_and_not_answered() -> None:
    world = World()
    cookie = signed_in(world)
    body = {"refreshToken": cookie.partition("=")[2]}
    for path in ("/refresh", "/logout"):
        assert send(world, path, cookie, body).status_code == 400
    assert send(world, "/refresh", cookie).status_code == 200


@pytest.mark.parametrize(
    "cookies",
    [
        "",
        ";",
        f"{NAME}=",
        f"{NAME}",
        f"x{NAME}={{token}}",
        f"{NAME.lower()}x={{token}}",
        f"{NAME}={{token}}; {NAME}=x",
        f"{NAME}=x; {NAME}={{token}}",
        f'{NAME}="{{token}}"',
        f"{NAME}={{token}}x",
        f"{NAME}= {{token}}",
        f"{NAME}=" + "x" * 4000,
        f"{NAME}=\xff\xfe",
    ],
)
def test_what_is_not_our_cookie_refreshes_nothing(cookies: str) -> None:
    world = World()
    cookie = signed_in(world)
    sent = cookies.replace("{token}", cookie.partition("=")[2])
    answer = send(world, "/refresh", sent)
    assert answer.status_code == 401, answer.get_data()
    assert "Set-Cookie" not in answer.headers
    assert send(world, "/refresh", f"other=1; {cookie}; another=2").status_code == 200


def test_signing_out_takes_the_cookie_and_the_session(world: World) -> None:
    cookie = signed_in(world)
    answer = send(world, "/logout", cookie)
    assert answer.status_code == 204
    (cleared,) = answer.headers.getlist("Set-Cookie")
    assert cleared.startswith(f"{NAME}=; Max-Age=0; Path=/; Secure")
    assert send(world, "/refresh", cookie).status_code == 401
    # A second time, and without any cookie, it is still signed out.
    assert send(world, "/logout", cookie).status_code == 204
    assert send(world, "/logout").status_code == 204
    assert len(world.events("session-ended")) == 1


def test_signing_out_everywhere_takes_the_cookie_of_a_page(world: World) -> None:
    world.register()
    login = send(world, "/login", body=CREDENTIALS)
    bearer = f"Bearer {json_of(login)['accessToken']}"
    answer = send(world, "/logout-all", jar(login), Authorization=bearer)
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert send(world, "/refresh", jar(login)).status_code == 401


def test_a_stolen_cookie_ends_its_session_like_any_token(world: World) -> None:
    first = signed_in(world)
    second = jar(send(world, "/refresh", first))
    third = jar(send(world, "/refresh", second))
    assert send(world, "/refresh", first).status_code == 401
    assert send(world, "/refresh", third).status_code == 401
    assert [event["reason"] for event in world.events("session-ended")] == ["reuse"]


def test_fifty_tabs_that_refresh_at_once_get_the_same_cookie(world: World) -> None:
    cookie = signed_in(world)
    answers = at_once(50, lambda _: send(world, "/refresh", cookie))
    assert {answer.status_code for answer in answers} == {200}
    assert len({jar(answer) for answer in answers}) == 1


def test_a_cookie_whose_answer_was_lost_heals(world: World) -> None:
    cookie = signed_in(world)
    lost = jar(send(world, "/refresh", cookie))
    assert jar(send(world, "/refresh", cookie)) == lost


def test_a_token_of_the_one_way_is_good_in_the_other() -> None:
    """It is the same session: a client may move from bodies to the cookie and back."""
    world = World()
    cookie = signed_in(world)
    answer = world.refresh(cookie.partition("=")[2])
    assert send(world, "/refresh", f"{NAME}={json_of(answer)['refreshToken']}").status_code == 200


def test_without_pages_of_ours_there_are_no_cookies() -> None:
    for origin in (None, "", "null", ORIGIN):
        with pytest.raises(Forbidden):
            RefreshCookies([]).check(origin, None)
