"""Another issuer's word in a real browser, at the local issuer: signing up and in, linking and
unlinking, saying no, and what somebody sends who wants another to end what he began."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from tests.e2e.test_mail_links import link
from tests.fixtures.app import context_of, is_in, is_out, sign_in, sign_up, violations
from tests.fixtures.stack import PASSWORD, Stack

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


@pytest.fixture(params=[1440, 360], ids=["wide", "narrow"])
def visitor(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Iterator[Page]:
    yield from _visiting(browser, stack, request.param)


@pytest.fixture
def guest(browser: Browser, stack: Stack) -> Iterator[Page]:
    yield from _visiting(browser, stack, 1440)


def _visiting(browser: Browser, stack: Stack, width: int) -> Iterator[Page]:
    """In front of the app, not signed in. What the console says against a page fails the test."""
    context = context_of(browser, width)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(stack.plan.origins[0])
    yield page
    context.close()
    # A refusal by the API is noted by the browser as well.
    unexpected = [one for one in complaints if not one.startswith("Failed to load resource")]
    assert not unexpected, unexpected


def new_address() -> str:
    return f"{secrets.token_hex(6)}@example.com"


def leave(page: Page, button: str = "Continue with Local ID") -> None:
    page.get_by_role("button", name=button).click()
    expect(page.get_by_role("heading", name="Local ID")).to_be_visible()


def allow(page: Page, email: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Allow").click()


def confirmed(page: Page, stack: Stack) -> str:
    """Somebody with a password and a confirmed address, on the page of the account."""
    email = sign_up(page)
    page.goto(link(stack, email, "verify-email"))
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_role("button", name="Go on").click()
    account(page)
    return email


def account(page: Page) -> None:
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_role("heading", name="Other ways to sign in")).to_be_visible()


def password_of_ways(page: Page) -> None:
    ways = page.locator("form", has=page.get_by_role("button", name="Link Local ID"))
    ways.get_by_label("Your password").fill(PASSWORD)


def test_somebody_signs_up_and_comes_back_without_a_password(visitor: Page, stack: Stack) -> None:
    email = new_address()
    seen: list[str] = []
    visitor.on("framenavigated", lambda frame: seen.append(frame.url))
    visitor.get_by_role("button", name="Sign up").click()
    leave(visitor)
    assert violations(visitor) == []
    allow(visitor, email)
    expect(is_in(visitor)).to_be_visible()
    expect(visitor.get_by_role("banner")).to_contain_text(email)
    assert urlsplit(visitor.url).path == "/"
    assert not urlsplit(visitor.url).query

    # Nothing of it is left to be read, by a script or in the history.
    kept = "JSON.stringify([Object.values(localStorage), Object.entries(sessionStorage)])"
    assert json.loads(visitor.evaluate(kept))[1] == []
    assert "eyJ" not in visitor.evaluate(kept)
    assert not [url for url in seen if "eyJ" in url], "no token was ever in a URL"
    visitor.reload()
    expect(is_in(visitor)).to_be_visible()

    account(visitor)
    expect(visitor.get_by_text("Local ID " + email)).to_be_visible()
    expect(visitor.get_by_role("button", name="Unlink")).to_have_count(0)
    expect(visitor.get_by_role("button", name="Mail me a link to set a password")).to_be_visible()
    assert violations(visitor) == []
    assert visitor.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visitor.get_by_role("button", name="Sign out", exact=True).click()
    expect(is_out(visitor)).to_be_visible()
    assert violations(visitor) == []
    leave(visitor)
    allow(visitor, email)
    expect(visitor.get_by_role("banner")).to_contain_text(email)


def test_who_did_not_get_there_can_try_again(guest: Page) -> None:
    """As who goes back from the issuer's page, and finds this one as it was."""
    guest.route("**/issuer/authorize?*", lambda route: route.fulfill(status=204))
    button = guest.get_by_role("button", name="Continue with Local ID")
    for _ in range(2):
        with guest.expect_request("**/issuer/authorize?*"):
            button.click()
        expect(button).to_be_enabled()
    guest.unroute("**/issuer/authorize?*")
    leave(guest)
    allow(guest, new_address())
    expect(is_in(guest)).to_be_visible()


def test_what_was_asked_before_it_was_linked_is_not_believed_after(
    visitor: Page, stack: Stack
) -> None:
    confirmed(visitor, stack)
    other, early = new_address(), _EarlyLook()
    password_of_ways(visitor)
    leave(visitor, "Link Local ID")
    visitor.route("**/api/auth/identities", early)
    allow(visitor, other)
    expect(visitor.get_by_text(f"You can sign in as {other} from now on.")).to_be_visible()
    assert early.look
    early.look.fulfill(json={"hasPassword": True, "items": []})
    expect(visitor.get_by_text("Local ID " + other)).to_be_visible()


class _EarlyLook:
    """The page asks what is linked, then it is linked, then the page gets its answer."""

    def __init__(self) -> None:
        self.look: Route | None = None
        self._linking: Route | None = None

    def __call__(self, route: Route) -> None:
        if self.look:
            route.continue_()
        elif route.request.method == "GET":
            self.look = route
            if self._linking:
                self._linking.continue_()
        else:
            self._linking = route


def test_somebody_links_signs_in_by_it_and_unlinks(visitor: Page, stack: Stack) -> None:
    email, other = confirmed(visitor, stack), new_address()
    password_of_ways(visitor)
    leave(visitor, "Link Local ID")
    allow(visitor, other)
    expect(visitor.get_by_text(f"You can sign in as {other} from now on.")).to_be_visible()
    expect(visitor.get_by_text("Local ID " + other)).to_be_visible()
    assert urlsplit(visitor.url).path == "/account"
    assert violations(visitor) == []

    visitor.get_by_role("button", name="Sign out", exact=True).click()
    leave(visitor)
    allow(visitor, other)
    expect(visitor.get_by_role("banner")).to_contain_text(email)

    account(visitor)
    visitor.get_by_role("button", name=f"Unlink Local ID {other}").focus()
    # Without the password nothing happens, and the browser says what is missing.
    visitor.keyboard.press("Enter")
    password_of_ways(visitor)
    visitor.get_by_role("button", name=f"Unlink Local ID {other}").focus()
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_text("It is unlinked.")).to_be_visible()
    expect(visitor.get_by_text("Local ID " + other)).to_have_count(0)


def test_whoever_comes_back_is_where_he_was(guest: Page, stack: Stack) -> None:
    guest.goto(f"{stack.plan.origins[0]}/join/abc")
    leave(guest)
    allow(guest, new_address())
    expect(guest.get_by_text("Somebody shares a task with you")).to_be_visible()
    assert urlsplit(guest.url).path == "/join/abc"


def test_a_wrong_password_links_nothing_and_says_so(guest: Page, stack: Stack) -> None:
    confirmed(guest, stack)
    ways = guest.locator("form", has=guest.get_by_role("button", name="Link Local ID"))
    ways.get_by_label("Your password").fill("not it")
    ways.get_by_label("Your password").press("Enter")
    expect(ways.get_by_role("alert")).to_have_text("This is not your password.")


def test_an_address_that_is_not_confirmed_links_nothing(guest: Page) -> None:
    sign_up(guest)
    account(guest)
    password_of_ways(guest)
    guest.get_by_role("button", name="Link Local ID").click()
    expect(guest.get_by_role("alert")).to_contain_text("Confirm your address first")


def test_whoever_says_no_is_back_where_he_was(guest: Page, stack: Stack) -> None:
    leave(guest)
    guest.get_by_role("button", name="Deny").click()
    expect(guest.get_by_role("alert")).to_have_text("You did not allow it, so nothing was done.")
    email = confirmed(guest, stack)
    password_of_ways(guest)
    leave(guest, "Link Local ID")
    guest.get_by_role("button", name="Deny").click()
    expect(guest.get_by_text("You did not allow it, so nothing was done.")).to_be_visible()
    expect(guest.get_by_role("banner")).to_contain_text(email)
    assert urlsplit(guest.url).path == "/account"


def test_an_address_that_the_issuer_does_not_vouch_for_signs_nobody_in(guest: Page) -> None:
    leave(guest)
    guest.get_by_label("the address is verified").uncheck()
    allow(guest, new_address())
    expect(guest.get_by_role("alert")).to_contain_text("does not vouch for this address")
    expect(is_out(guest)).to_be_visible()


def way_back(route: Route) -> str:
    """Where the issuer sends the browser, which does not go there yet."""
    return route.fetch(max_redirects=0).headers["location"]


def _never(request: Request) -> None:
    path = urlsplit(request.url).path
    assert path not in ("/api/auth/provider", "/api/auth/identities"), "nothing is sent"


def test_a_way_back_that_did_not_begin_here_signs_nobody_in(
    guest: Page, browser: Browser, stack: Stack
) -> None:
    """An attacker's own code, which would sign her in as him, or link him to her account."""
    context = context_of(browser)
    attacker = context.new_page()
    caught: list[str] = []

    def hold(route: Route) -> None:
        caught.append(way_back(route))
        route.fulfill(status=200, body="held")

    attacker.goto(stack.plan.origins[0])
    leave(attacker)
    attacker.route("**/issuer/authorize", hold)
    allow(attacker, new_address())
    expect(attacker.get_by_text("held")).to_be_visible()
    context.close()
    (url,) = caught
    assert parse_qs(urlsplit(url).query)["code"]

    guest.on("request", _never)
    guest.goto(url)
    expect(guest.get_by_role("alert")).to_contain_text("did not begin in this tab")
    expect(is_out(guest)).to_be_visible()
    assert urlsplit(guest.url).query == ""
    # Nor when she began one herself, whose state is another.
    leave(guest)
    guest.goto(url)
    expect(guest.get_by_role("alert")).to_contain_text("did not begin in this tab")
    expect(is_out(guest)).to_be_visible()
    guest.remove_listener("request", _never)
    email = sign_up(guest)
    guest.on("request", _never)
    guest.goto(url)
    expect(guest.get_by_text("did not begin in this tab")).to_be_visible()
    expect(guest.get_by_role("banner")).to_contain_text(email)


@pytest.mark.parametrize("name", ["state", "code"])
def test_a_tampered_way_back_opens_nothing(guest: Page, name: str) -> None:
    def tamper(route: Route) -> None:
        before, mark, value = way_back(route).partition(f"{name}=")
        swapped = "A" if value[0] != "A" else "B"
        route.fulfill(status=303, headers={"Location": before + mark + swapped + value[1:]})

    leave(guest)
    guest.route("**/issuer/authorize", tamper)
    allow(guest, new_address())
    expect(guest.get_by_role("alert")).to_contain_text("Try it again")
    expect(is_out(guest)).to_be_visible()


def test_the_way_back_leads_in_once(guest: Page) -> None:
    visited: list[str] = []
    guest.on("request", lambda request: visited.append(request.url))
    leave(guest)
    allow(guest, new_address())
    expect(is_in(guest)).to_be_visible()
    (url,) = {one for one in visited if "/signed-in?" in one}
    guest.get_by_role("button", name="Sign out", exact=True).click()
    expect(is_out(guest)).to_be_visible()
    guest.goto(url)
    expect(guest.get_by_role("alert")).to_contain_text("did not begin in this tab")


def test_whoever_comes_back_by_the_browsers_button_goes_again(guest: Page) -> None:
    email = new_address()
    leave(guest)
    guest.go_back()
    expect(is_out(guest)).to_be_visible()
    leave(guest)
    allow(guest, email)
    expect(guest.get_by_role("banner")).to_contain_text(email)


def test_an_issuer_that_is_out_is_told_and_the_password_still_works(
    guest: Page, stack: Stack
) -> None:
    email = sign_up(guest)
    guest.get_by_role("button", name="Sign out", exact=True).click()
    guest.route("**/api/auth/provider", lambda route: route.fulfill(status=503, body="{}"))
    leave(guest)
    allow(guest, new_address())
    expect(guest.get_by_role("alert")).to_be_visible()
    sign_in(guest, email)


def test_an_identity_of_another_account_is_refused_in_words(guest: Page, stack: Stack) -> None:
    other = new_address()
    leave(guest)
    allow(guest, other)
    expect(is_in(guest)).to_be_visible()
    guest.get_by_role("button", name="Sign out", exact=True).click()
    email = confirmed(guest, stack)
    password_of_ways(guest)
    leave(guest, "Link Local ID")
    allow(guest, other)
    expect(guest.get_by_text("This identity opens another account")).to_be_visible()
    expect(guest.get_by_role("banner")).to_contain_text(email)


def test_the_secret_of_the_client_is_nowhere_in_the_app(stack: Stack) -> None:
    from emulators.plan import OIDC_SECRET

    built = Path(__file__).parents[2] / "web" / "dist"
    for file in built.rglob("*.js"):
        assert OIDC_SECRET not in file.read_text()
