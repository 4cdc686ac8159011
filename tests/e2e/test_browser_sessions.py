"""Signed in, in a real browser: across reloads, in many tabs, on both names of this machine; and
what a page of another origin can do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.fixtures.app import add_task, is_in, is_out, sign_up
from tests.fixtures.chromium import chromium
from tests.fixtures.stack import Person, Stack, eventually
from tests.fixtures.web import Answer, Asked, serving

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
PATIENCE = 30_000
NAME = "__Host-snaptask-refresh"
TOKEN = re.compile(r"[a-z2-7]{20}\.\d+\.\d+\.[A-Za-z0-9_-]{43}")
# A refresh that a test holds back is given up by nobody.
PATIENT = "AbortSignal.timeout = () => new AbortController().signal"
IN_REACH = """
() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])
"""
# What a page can send without asking, and what it must ask for first.
ATTACK = """
async (api) => {
  const tried = [];
  const note = (promise) => promise.then(() => tried.push("answered"), () => tried.push("refused"));
  for (const path of ["refresh", "logout", "logout-all"]) {
    const sent = { method: "POST", mode: "no-cors", credentials: "include" };
    await note(fetch(`${api}/auth/${path}`, sent));
    const headers = { "Refresh-Transport": "cookie" };
    await note(fetch(`${api}/auth/${path}`, { ...sent, mode: "cors", headers }));
  }
  return tried;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    expect.set_options(timeout=PATIENCE)
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


def signed_up(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.goto(url)
    sign_up(page)
    return page


def kept(context: BrowserContext) -> dict[str, object]:
    (cookie,) = context.cookies()
    return dict(cookie)


@pytest.mark.parametrize("name", [0, 1], ids=["localhost", "127.0.0.1"])
def test_the_cookie_is_taken_and_no_script_can_read_it(
    context: BrowserContext, stack: Stack, name: int
) -> None:
    page = signed_up(context, stack.plan.origins[name])
    cookie = kept(context)
    assert TOKEN.fullmatch(str(cookie["value"]))
    flags = {key: cookie[key] for key in ("name", "path", "secure", "httpOnly", "sameSite")}
    assert flags == {
        "name": NAME,
        "path": "/",
        "secure": True,
        "httpOnly": True,
        "sameSite": "Strict",
    }
    in_reach = page.evaluate(IN_REACH)
    assert not TOKEN.search(in_reach)
    assert "eyJ" not in in_reach, "no access token either"
    page.reload()
    expect(is_in(page)).to_be_visible()
    assert kept(context)["value"] != cookie["value"], "each token is used once"


def test_a_token_that_expires_is_renewed_and_nobody_notices(
    context: BrowserContext, stack: Stack
) -> None:
    page = signed_up(context, stack.plan.origins[0])
    before = kept(context)["value"]
    expired: list[str] = []

    def once(route: Route) -> None:
        if route.request.method == "POST" and not expired:
            expired.append(route.request.url)
            route.fulfill(status=401, json={"title": "Sign in first", "status": 401})
        else:
            route.continue_()

    page.route("**/api/tasks*", once)
    add_task(page)
    assert len(expired) == 1
    assert kept(context)["value"] != before


def test_tabs_take_turns_to_refresh_and_all_stay_signed_in(
    context: BrowserContext, stack: Stack
) -> None:
    context.add_init_script(PATIENT)
    first = signed_up(context, stack.plan.origins[0])
    second = context.new_page()
    second.goto(stack.plan.origins[0])
    expect(is_in(second)).to_be_visible()
    held: list[Route] = []
    passed: list[Route] = []

    def hold_first(route: Route) -> None:
        if not held:
            held.append(route)
        else:
            passed.append(route)
            route.continue_()

    context.route("**/api/auth/refresh", hold_first)
    first.reload()
    second.reload()
    for page in (first, second):
        page.wait_for_function(
            "navigator.locks.query().then(({ held, pending }) => held.length + pending.length > 1)"
        )
    eventually(lambda: first.evaluate("1") and len(held), lambda count: count == 1)
    assert passed == [], "the second one has not asked"
    held[0].continue_()
    for page in (first, second):
        expect(is_in(page)).to_be_visible()
    assert len(passed) == 1


def test_a_browser_without_locks_is_forgiven(context: BrowserContext, stack: Stack) -> None:
    """Old ones refresh with the same cookie at once; the parent's grace is what saves them."""
    context.add_init_script(PATIENT)
    context.add_init_script("Object.defineProperty(navigator, 'locks', { value: undefined })")
    pages = [signed_up(context, stack.plan.origins[0])]
    for _ in range(3):
        page = context.new_page()
        page.goto(stack.plan.origins[0])
        expect(is_in(page)).to_be_visible()
        pages.append(page)
    held: list[Route] = []
    context.route("**/api/auth/refresh", lambda route: held.append(route))
    for page in pages:
        page.reload()
    eventually(lambda: pages[0].evaluate("1") and len(held), lambda count: count == 4)
    cookies = {route.request.all_headers().get("cookie") for route in held}
    assert len(cookies) == 1
    for route in held:
        route.continue_()
    for page in pages:
        expect(is_in(page)).to_be_visible()


def test_signing_out_in_one_tab_is_seen_in_the_other(context: BrowserContext, stack: Stack) -> None:
    first = signed_up(context, stack.plan.origins[0])
    second = context.new_page()
    second.goto(stack.plan.origins[0])
    expect(is_in(second)).to_be_visible()
    first.get_by_role("button", name="Sign out").click()
    for page in (first, second):
        expect(is_out(page)).to_be_visible()
    eventually(lambda: first.evaluate("1") and context.cookies(), lambda cookies: cookies == [])


def test_a_page_of_another_origin_can_use_the_cookie_for_nothing(
    context: BrowserContext, stack: Stack
) -> None:
    """Another port of this machine is the same site, so SameSite alone lets the cookie through."""

    def evil(asked: Asked) -> Answer:
        return Answer(200, b"<!doctype html><title>Evil</title>", {"content-type": "text/html"})

    page = signed_up(context, stack.plan.origins[1])
    before = kept(context)
    with serving(evil) as web:
        attacker = context.new_page()
        attacker.goto(web.url)
        tried = attacker.evaluate(ATTACK, f"{stack.plan.origins[1]}/api")
        assert tried == ["refused"] * 6
        assert kept(context) == before
        with attacker.expect_request("**/auth/logout") as asked:
            attacker.evaluate(
                """(action) => {
              const form = document.createElement("form");
              Object.assign(form, { method: "post", action, enctype: "text/plain" });
              document.body.append(form);
              form.submit();
            }""",
                f"{stack.plan.origins[1]}/api/auth/logout",
            )
        assert NAME in asked.value.all_headers()["cookie"], "or nothing was tried"
        expect(attacker.locator("body")).to_contain_text("/refreshToken")
    assert kept(context) == before
    page.reload()
    expect(is_in(page)).to_be_visible()


def test_a_signed_out_device_writes_nowhere_half_a_minute_later(person: Person) -> None:
    """Two functions, two processes; the token itself is good for minutes more."""
    person.task()
    body = {"refreshToken": person.tokens["refreshToken"]}
    assert person.api.post("/auth/logout", json=body).status_code == 204
    assert person.api.get("/auth/me").status_code == 401
    # This process has not seen the session before, so it asks.
    assert person.api.get(f"/media/{'a' * 20}/download").status_code == 401
    answer = eventually(
        lambda: person.api.post("/tasks", json={"title": "Too late"}),
        lambda answer: answer.status_code != 201,
        within=40,
    )
    assert answer.status_code == 401
    assert person.api.get("/tasks").status_code == 200
