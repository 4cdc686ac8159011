"""What a person types: sent once it is whole, and kept while something else is under way. What he
deletes: away, also before the server knows."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.fixtures.app import add_task, is_out, task

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


def test_deleted_tasks_stay_away_while_others_are_deleted_and_one_comes_back(wide: Page) -> None:
    for title in ("Paint the fence", "Paint the gate"):
        add_task(wide, title)
    wide.get_by_role("button", name="Delete Paint the fence").click()
    with wide.expect_response("**/api/tasks?**"):
        add_task(wide, "Paint the door")
    expect(task(wide, "Paint the fence")).to_have_count(0)
    wide.get_by_role("button", name="Delete Paint the gate").click()
    undo = wide.get_by_text("Paint the fence").locator("..").get_by_role("button", name="Undo")
    undo.click()
    expect(task(wide, "Paint the fence")).to_be_visible()
    expect(task(wide, "Paint the gate")).to_have_count(0)
    with wide.expect_response(lambda answer: answer.request.method == "DELETE"):
        wide.get_by_role("link", name="Account").click()
    wide.get_by_role("link", name="Tasks", exact=True).click()
    wide.reload()
    expect(task(wide, "Paint the fence")).to_be_visible()
    expect(task(wide, "Paint the gate")).to_have_count(0)


def test_a_deletion_holds_although_its_person_signs_out_at_once(wide: Page) -> None:
    add_task(wide)
    wide.get_by_role("button", name="Delete Paint the fence").click()
    with wide.expect_response(lambda answer: answer.request.method == "DELETE") as told:
        wide.get_by_role("button", name="Sign out").click()
    assert told.value.status == 204
    expect(is_out(wide)).to_be_visible()


def held(page: Page, pattern: str, method: str) -> list[Route]:
    """Requests that are not answered before they are told to go on."""
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        if route.request.method == method and not waiting:
            waiting.append(route)
        else:
            route.continue_()

    page.route(pattern, hold)
    return waiting


def being_made(page: Page) -> tuple[Locator, list[Route]]:
    """The field of a task that is sent and not answered yet, and what holds the answer."""
    waiting = held(page, "**/api/tasks", "POST")
    title = page.get_by_label("New task")
    title.fill("Paint the fence")
    with page.expect_request("**/api/tasks"):
        title.press("Enter")
    return title, waiting


def test_what_is_typed_while_a_task_is_made_is_the_next_one(wide: Page) -> None:
    title, waiting = being_made(wide)
    title.fill("Paint the gate")
    waiting[0].continue_()
    expect(task(wide, "Paint the fence")).to_be_visible()
    expect(title).to_have_value("Paint the gate")
    wide.get_by_role("button", name="Add task").click()
    expect(task(wide, "Paint the gate")).to_be_visible()
    expect(title).to_have_value("")


def test_a_task_that_is_not_made_is_in_its_field_again(troubled: Page) -> None:
    title, waiting = being_made(troubled)
    title.fill("and the gate")
    waiting[0].fulfill(status=500, json={"title": "This failed"})
    expect(title).to_have_value("Paint the fence and the gate")
    troubled.get_by_role("button", name="Add task").click()
    expect(task(troubled, "Paint the fence and the gate")).to_be_visible()


def test_a_comment_is_written_while_another_is_sent(wide: Page) -> None:
    add_task(wide)
    task(wide, "Paint the fence").click()
    waiting = held(wide, "**/comments", "POST")
    comment = wide.get_by_role("textbox", name="Comment")
    comment.fill("Which colour?")
    with wide.expect_request(lambda one: one.method == "POST"):
        comment.press("Enter")
    comment.fill("Blue?")
    waiting[0].continue_()
    expect(wide.get_by_text("Which colour?")).to_be_visible()
    expect(comment).to_have_value("Blue?")
    wide.get_by_role("button", name="Send").click()
    expect(wide.get_by_text("Blue?")).to_be_visible()


def test_words_written_while_a_task_is_saved_are_kept_and_are_nobody_elses_change(
    wide: Page,
) -> None:
    add_task(wide)
    task(wide, "Paint the fence").click()
    waiting = held(wide, "**/api/tasks/*", "PATCH")
    title = wide.get_by_label("Title")
    title.fill("Paint the gate")
    with wide.expect_request(lambda one: one.method == "PATCH"):
        title.press("Enter")
    title.fill("Paint the gate blue")
    with wide.expect_response(lambda answer: answer.request.method == "PATCH"):
        waiting[0].continue_()
    save = wide.get_by_role("button", name="Save")
    expect(save).to_be_enabled()
    expect(title).to_have_value("Paint the gate blue")
    save.click()
    expect(save).to_have_count(0)
    wide.reload()
    expect(title).to_have_value("Paint the gate blue")
