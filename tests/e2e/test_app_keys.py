"""The app by keys that work anywhere, their list, and what each page is called."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.app import add_task, task, violations

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def test_keys_write_a_task_search_and_tell_what_they_do(page: Page) -> None:
    page.get_by_role("link", name="Pictures").click()
    expect(page.get_by_role("heading", name="Pictures")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_label("New task")).to_be_focused()
    # In a field a letter is a letter.
    page.keyboard.type("n? /")
    expect(page.get_by_label("New task")).to_have_value("n? /")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(task(page, "n? /")).to_be_visible()
    task(page, "n? /").focus()
    page.keyboard.press("/")
    expect(page.get_by_label("Search")).to_be_focused()

    task(page, "n? /").focus()
    page.keyboard.press("Control+n")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys")
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    # Behind the dialog nothing happens.
    page.keyboard.press("n")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(task(page, "n? /")).to_be_focused()


def test_keys_are_turned_off_and_on_again(wide: Page) -> None:
    add_task(wide)
    wide.get_by_role("link", name="Account").click()
    wide.get_by_role("button", name="Keys").click()
    wide.get_by_label("Use n, / and ? anywhere").uncheck()
    wide.get_by_role("button", name="Close").click()
    wide.reload()
    wide.get_by_role("button", name="Keys").focus()
    for key in ("?", "n", "/"):
        wide.keyboard.press(key)
    expect(wide.get_by_role("dialog")).to_have_count(0)
    assert wide.url.endswith("/account")
    wide.get_by_role("button", name="Keys").click()
    wide.get_by_label("Use n, / and ? anywhere").check()
    wide.get_by_role("button", name="Close").click()
    wide.keyboard.press("n")
    expect(wide.get_by_label("New task")).to_be_focused()


def test_each_page_has_a_name_of_its_own(wide: Page) -> None:
    add_task(wide)
    expect(wide).to_have_title("Tasks · Snaptask")
    task(wide, "Paint the fence").click()
    expect(wide).to_have_title("Paint the fence · Snaptask")
    for name in ("Pictures", "Trash", "Account", "Tasks"):
        wide.get_by_role("link", name=name, exact=True).click()
        expect(wide).to_have_title(f"{name} · Snaptask")
    wide.goto(wide.url + "join/nothing")
    expect(wide).to_have_title("Join a task · Snaptask")
    wide.get_by_role("button", name="Sign out").click()
    expect(wide).to_have_title("Sign in · Snaptask")
    wide.get_by_role("button", name="Sign up").click()
    expect(wide).to_have_title("Sign up · Snaptask")
    wide.goto(wide.url.split("/join")[0] + "/#reset-password=x")
    expect(wide).to_have_title("Choose a new password · Snaptask")
