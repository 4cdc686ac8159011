"""What a person types: sent once it is whole, and kept while something else is under way."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.app import add_task, task

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def changes(page: Page) -> list[str]:
    """Where the page asks for a change from now on."""
    asked: list[str] = []
    page.on("request", lambda one: one.method == "PATCH" and asked.append(one.url))
    return asked


def test_a_due_date_is_typed_told_once_and_taken_away(wide: Page) -> None:
    add_task(wide)
    task(wide, "Paint the fence").click()
    asked = changes(wide)
    due = wide.get_by_role("complementary").get_by_label("Due")
    due.press_sequentially("11262026")
    assert asked == []
    with wide.expect_response(lambda answer: answer.request.method == "PATCH") as told:
        due.press("Enter")
    assert told.value.json()["dueAt"].startswith("2026-11-2")
    expect(due).to_be_focused()
    wide.get_by_label("Title").focus()
    wide.reload()
    expect(due).to_have_value("2026-11-26")
    assert len(asked) == 1
    with wide.expect_response(lambda answer: answer.request.method == "PATCH") as told:
        due.fill("")
        due.blur()
    assert told.value.json()["dueAt"] is None


def test_a_year_that_was_typed_by_half_is_no_date_and_is_not_sent(wide: Page) -> None:
    add_task(wide)
    task(wide, "Paint the fence").click()
    asked = changes(wide)
    due = wide.get_by_role("complementary").get_by_label("Due")
    for typed in ("1126202", "1126"):
        due.press_sequentially(typed)
        wide.get_by_label("Title").focus()
        expect(due).to_have_value("")
    assert asked == []
