"""Tasks moved by hand, and found by their dates: in a real browser, by pointer, finger and keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.fixtures.app import task, violations, visited
from tests.fixtures.stack import Person, Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


class Mine:
    """A person with three tasks, in front of them; the last one written stands on top."""

    def __init__(self, page: Page, person: Person, url: str) -> None:
        self.page = page
        self.person = person
        self._url = url
        self.ids = {name: str(person.task(name)["id"]) for name in ("Sand", "Prime", "Paint")}

    def look(self, query: str = "sort=position") -> None:
        self.page.goto(f"{self._url}/?{query}")
        expect(task(self.page, "Sand").or_(self.card("Sand"))).to_be_visible()

    def titles(self, place: Locator | None = None) -> Locator:
        shown = place or self.page.get_by_role("list", name="Tasks")
        return shown.get_by_role("listitem").get_by_role("link")

    def card(self, title: str) -> Locator:
        return self.page.get_by_role("main").get_by_role("link", name=title, exact=True)

    def column(self, name: str) -> Locator:
        return self.page.get_by_role("region", name=name)

    def grip(self, title: str) -> Locator:
        return self.page.get_by_role("button", name=f"Move {title} by hand")

    def hears(self, words: str) -> None:
        expect(self.page.locator("[data-voice]")).to_have_text(words)

    def drag(self, start: Locator, x: float, y: float) -> None:
        box = _box(start)
        mouse = self.page.mouse
        mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        mouse.down()
        mouse.move(x, y, steps=8)
        mouse.up()

    def holds(self, *titles: str) -> None:
        """So shown, so stored, and so again after a reload."""
        expect(self.titles()).to_have_text(list(titles))
        eventually(self.stored, lambda stored: stored == list(titles))
        self.page.reload()
        expect(self.titles()).to_have_text(list(titles))

    def stored(self) -> list[str]:
        answer = self.person.api.get("/tasks", params={"sort": "position"})
        return [one["title"] for one in answer.json()["items"]]


@pytest.fixture(params=[1440, 360], ids=["wide", "narrow"])
def mine(
    request: pytest.FixtureRequest, browser: Browser, stack: Stack, person: Person
) -> Iterator[Mine]:
    url = stack.plan.origins[0]
    with visited(
        browser, stack, request.param, person, note="Failed to load resource", has_touch=True
    ) as page:
        yield Mine(page, person, url)


def _box(place: Locator) -> dict[str, float]:
    box = place.bounding_box()
    assert box is not None
    return dict(box)


def test_a_task_is_dragged_to_another_place_in_the_list(mine: Mine) -> None:
    mine.look()
    expect(mine.titles()).to_have_text(["Paint", "Prime", "Sand"])
    target = _box(task(mine.page, "Paint"))
    mine.drag(mine.grip("Sand"), target["x"], target["y"] - 4)
    mine.holds("Sand", "Paint", "Prime")


def test_a_finger_drags_at_the_grip_and_scrolls_elsewhere(mine: Mine) -> None:
    mine.look()
    box, target = _box(mine.grip("Paint")), _box(task(mine.page, "Sand"))
    touch = mine.page.context.new_cdp_session(mine.page)

    def send(kind: str, *points: dict[str, float]) -> None:
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)})

    x = box["x"] + box["width"] / 2
    begin, end = box["y"] + box["height"] / 2, target["y"] + target["height"] + 12
    send("touchStart", {"x": x, "y": begin})
    for step in range(1, 9):
        send("touchMove", {"x": x, "y": begin + (end - begin) * step / 8})
    expect(mine.page.locator("[data-held]")).to_contain_text("Paint")
    send("touchEnd")
    mine.holds("Prime", "Sand", "Paint")


def test_a_task_is_moved_by_keys_and_every_step_is_heard(mine: Mine) -> None:
    mine.look()
    mine.grip("Paint").focus()
    keys = mine.page.keyboard
    keys.press("Space")
    mine.hears("Taken from place 1 of 3. Arrows move it, Space puts it down, Escape leaves it.")
    keys.press("ArrowDown")
    mine.hears("place 2 of 3")
    keys.press("End")
    mine.hears("place 3 of 3")
    keys.press("Space")
    mine.hears("Moved to place 3 of 3.")
    expect(mine.grip("Paint")).to_be_focused()
    mine.holds("Prime", "Sand", "Paint")


@pytest.mark.parametrize("away", ["Escape", "Tab"])
def test_a_task_that_is_let_go_stays_where_it_was(mine: Mine, away: str) -> None:
    mine.look()
    mine.grip("Paint").focus()
    for key in ("Space", "ArrowDown", away):
        mine.page.keyboard.press(key)
    mine.hears("Left where it was.")
    assert mine.stored() == ["Paint", "Prime", "Sand"]


def test_a_drag_that_ends_with_escape_changes_nothing_and_opens_nothing(mine: Mine) -> None:
    mine.look()
    box = _box(task(mine.page, "Sand"))
    mine.page.mouse.move(box["x"] + 5, box["y"] + 5)
    mine.page.mouse.down()
    mine.page.mouse.move(box["x"] + 5, box["y"] - 150, steps=4)
    expect(mine.page.locator("[data-held]")).to_contain_text("Sand")
    mine.page.keyboard.press("Escape")
    expect(mine.page.locator("[data-held]")).to_have_count(0)
    mine.page.mouse.up()
    expect(mine.titles()).to_have_text(["Paint", "Prime", "Sand"])
    assert mine.stored() == ["Paint", "Prime", "Sand"]


def test_on_the_board_a_card_is_put_between_two_others(mine: Mine) -> None:
    for name in ("Sand", "Prime"):
        mine.person.api.patch(f"/tasks/{mine.ids[name]}", json={"status": "doing"})
    mine.look("view=board&sort=position")
    target = _box(mine.card("Sand"))
    mine.drag(mine.card("Paint"), target["x"] + 40, target["y"] - 16)
    expect(mine.titles(mine.column("Doing"))).to_have_text(["Prime", "Paint", "Sand"])
    eventually(mine.stored, lambda stored: stored == ["Prime", "Paint", "Sand"])
    mine.page.reload()
    expect(mine.titles(mine.column("Doing"))).to_have_text(["Prime", "Paint", "Sand"])


def test_on_the_board_keys_carry_a_card_into_the_next_column(mine: Mine) -> None:
    mine.look("view=board")
    mine.grip("Prime").focus()
    for key in ("Space", "ArrowRight", "Enter"):
        mine.page.keyboard.press(key)
    expect(mine.titles(mine.column("Doing"))).to_have_text(["Prime"])
    expect(mine.grip("Prime")).to_be_focused()
    prime = f"/tasks/{mine.ids['Prime']}"
    eventually(lambda: mine.person.api.get(prime).json()["status"], lambda held: held == "doing")
    mine.page.reload()
    expect(mine.titles(mine.column("Doing"))).to_have_text(["Prime"])


def test_a_move_of_what_somebody_moved_meanwhile_is_not_made_and_said(mine: Mine) -> None:
    mine.look()
    expect(mine.titles()).to_have_text(["Paint", "Prime", "Sand"])
    path = f"/tasks/{mine.ids['Paint']}/position"
    assert mine.person.api.put(path, json={"to": "last"}).status_code == 200
    mine.grip("Paint").focus()
    for key in ("Space", "ArrowDown", "Space"):
        mine.page.keyboard.press(key)
    expect(mine.page.get_by_text("Somebody else moved this task meanwhile.")).to_be_visible()
    mine.holds("Prime", "Sand", "Paint")


def test_new_words_of_somebody_else_are_no_hindrance_to_a_move(mine: Mine) -> None:
    mine.look()
    mine.person.api.patch(f"/tasks/{mine.ids['Paint']}", json={"priority": "high"})
    mine.grip("Paint").focus()
    for key in ("Space", "End", "Space"):
        mine.page.keyboard.press(key)
    expect(mine.titles()).to_have_text(["Prime", "Sand", "Paint"])
    eventually(mine.stored, lambda stored: stored == ["Prime", "Sand", "Paint"])


def test_a_task_beside_one_that_is_gone_goes_back_to_its_place(mine: Mine) -> None:
    mine.look()
    expect(mine.titles()).to_have_text(["Paint", "Prime", "Sand"])
    mine.person.api.delete(f"/tasks/{mine.ids['Sand']}")
    mine.grip("Paint").focus()
    for key in ("Space", "End", "Space"):
        mine.page.keyboard.press(key)
    expect(mine.page.get_by_text("There is no such task to move to")).to_be_visible()
    expect(mine.titles()).to_have_text(["Paint", "Prime"])


def test_moves_one_after_the_other_all_land(mine: Mine) -> None:
    """Each is shown at once; the server hears of them in turn."""
    mine.look()
    for title in ("Paint", "Prime", "Paint"):
        mine.grip(title).focus()
        for key in ("Space", "End", "Space"):
            mine.page.keyboard.press(key)
        expect(mine.titles().last).to_have_text(title)
    mine.holds("Sand", "Prime", "Paint")


def test_tasks_are_found_by_their_dates_and_the_url_says_so(mine: Mine) -> None:
    noon = datetime.now().astimezone().replace(hour=12)
    due = {"Sand": noon - timedelta(days=40), "Prime": noon}
    for name, moment in due.items():
        mine.person.api.patch(f"/tasks/{mine.ids[name]}", json={"dueAt": moment.isoformat()})
    # What is done is never overdue, whatever the hour is in which this test runs.
    mine.person.api.patch(f"/tasks/{mine.ids['Prime']}", json={"status": "done"})
    mine.look("")
    when = mine.page.get_by_role("combobox", name="Due")
    when.select_option(label="overdue")
    expect(mine.titles()).to_have_text(["Sand"])
    when.select_option(label="due today")
    expect(mine.titles()).to_have_text(["Prime"])
    assert mine.page.url.endswith("?due=today")
    when.select_option(label="due between …")
    expect(mine.titles()).to_have_count(3)
    day = due["Sand"].date().isoformat()
    for side in ("Due from", "Due until"):
        mine.page.get_by_label(side).fill(day)
    expect(mine.titles()).to_have_text(["Sand"])
    mine.page.reload()
    expect(mine.titles()).to_have_text(["Sand"])
    expect(mine.page.get_by_label("Due until")).to_have_value(day)
    mine.page.get_by_role("button", name="Clear").click()
    expect(mine.titles()).to_have_count(3)


def test_axe_finds_nothing_serious_where_tasks_are_moved(mine: Mine) -> None:
    for query in ("sort=position&due=..", "view=board&sort=position"):
        mine.look(query)
        mine.grip("Prime").focus()
        mine.page.keyboard.press("Space")
        assert violations(mine.page) == []
