"""The links in mails, opened in a real browser: the address confirmed, the password set anew."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures import http
from tests.fixtures.app import sign_in, sign_up
from tests.fixtures.chromium import chromium
from tests.fixtures.stack import PASSWORD, Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
NEW = "staple battery horse"


@pytest.fixture
def page(stack: Stack) -> Iterator[Page]:
    expect.set_options(timeout=30_000)
    with chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(30_000)
        page.goto(stack.plan.origins[0])
        yield page


def link(stack: Stack, email: str, word: str) -> str:
    """Out of the mail, once it is there."""
    sink = f"{stack.plan.url('platform')}/_emulator/mails"

    def look() -> list[str]:
        mails = http.get(sink, params={"to": email}).json()["mails"]
        return [found for mail in mails for found in re.findall(rf"\S+/#{word}=\S+", mail["text"])]

    return eventually(look, bool)[-1]


def test_a_person_confirms_forgets_and_sets_the_password_by_what_the_mails_say(
    stack: Stack, page: Page
) -> None:
    email = sign_up(page)
    page.goto(link(stack, email, "verify-email"))
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("status").first).to_have_text("Your address is confirmed.")
    assert page.url.endswith("/"), "the token is out of the address bar"
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Forgot the password").click()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_role("button", name="Send a link").click()
    expect(page.get_by_role("alert")).to_contain_text("on its way")
    page.goto(link(stack, email, "reset-password"))
    page.get_by_label("New password").fill(NEW)
    page.get_by_role("button", name="Set it").click()
    expect(page.get_by_role("status").first).to_contain_text("The password is set.")
    page.get_by_role("button", name="Go on").click()
    sign_in(page, email, NEW)
