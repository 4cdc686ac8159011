"""The app in a real browser, against the whole local cloud: what a person can do with it."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.fixtures.app import (
    ROOT,
    add_task,
    context_of,
    give,
    has_loaded,
    is_in,
    is_out,
    photo,
    sign_in,
    sign_up,
    task,
    violations,
    visited,
)
from tests.fixtures.stack import Person, Stack, eventually

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
MIB = 1024 * 1024


def test_a_task_with_two_pasted_photos_from_writing_to_the_trash_and_back(page: Page) -> None:
    title = page.get_by_label("New task")
    title.fill("Paint the fence")
    shots = [(f"{name}.jpg", "image/jpeg", photo(800, 600 + at)) for at, name in enumerate("ab")]
    give(page, "paste", title, *shots)
    expect(
        page.get_by_role("list", name="Pictures of the new task").get_by_text("Ready")
    ).to_have_count(2)
    page.get_by_role("button", name="Add task").click()
    task(page, "Paint the fence").click()
    for name in ("a.jpg", "b.jpg"):
        has_loaded(page.get_by_alt_text(name))
    assert _fits(page)

    page.get_by_role("button", name="Open a.jpg").click()
    has_loaded(page.locator(".yarl__slide_current img"))
    assert "picture=" in page.url
    page.keyboard.press("Escape")
    expect(page.locator(".yarl__portal")).to_have_count(0)

    page.get_by_role("button", name="Detach a.jpg").click()
    expect(page.get_by_role("button", name="Open a.jpg")).to_have_count(0)
    page.get_by_role("link", name="Pictures").click()
    has_loaded(page.get_by_alt_text("a.jpg"))
    assert _fits(page)
    page.get_by_label("Select a.jpg").check()
    page.get_by_role("button", name="Into the trash").click()
    expect(page.get_by_role("button", name="Open a.jpg")).to_have_count(0)
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Restore a.jpg").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    page.get_by_role("link", name="Pictures").click()
    has_loaded(page.get_by_alt_text("a.jpg"))


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_an_upload_that_was_cut_goes_on_after_a_reload(troubled: Page) -> None:
    """Half of it stands in the bucket; what is sent again is one chunk at most."""
    content = photo(64, 64) + bytes(10 * MIB)
    sent: list[int] = []

    def count(route: Route) -> None:
        match = re.match(r"bytes (\d+)-(\d+)/", route.request.headers.get("content-range", ""))
        if match is None:
            return route.continue_()
        begin, end = map(int, match.groups())
        if begin >= len(content) / 2 and not sent_after_reload:
            return route.abort()
        sent.append(end + 1 - begin)
        return route.continue_()

    sent_after_reload: list[bool] = []
    troubled.context.route("**/upload/**", count)
    troubled.context.route(re.compile(r"upload_id="), count)
    troubled.get_by_role("link", name="Pictures").click()
    give(
        troubled,
        "drop",
        troubled.get_by_role("heading", name="Pictures"),
        ("large.jpg", "image/jpeg", content),
    )
    line = troubled.get_by_role("region", name="Uploads")
    expect(line).to_contain_text("Trying again")
    sent_after_reload.append(True)
    troubled.reload()
    expect(troubled.get_by_role("button", name="Open large.jpg")).to_be_enabled()
    assert len(content) <= sum(sent) <= len(content) + 2 * MIB


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page) -> None:
    page.get_by_role("link", name="Pictures").click()
    place = page.get_by_role("heading", name="Pictures")
    give(page, "drop", place, ("fence.jpg", "image/jpeg", b"MZ\x90\x00 this is a program"))
    tray = page.get_by_role("region", name="Uploads")
    expect(tray).to_contain_text("This kind of file is not taken.")


def test_what_a_person_wrote_is_never_markup(wide: Page) -> None:
    evil = "<img src=x onerror=\"document.title='broken in'\">"
    add_task(wide, evil)
    task(wide, evil).click()
    zone = wide.get_by_role("region", name="Pictures")
    give(wide, "drop", zone, (evil.replace("/", ""), "image/jpeg", photo()))
    has_loaded(wide.get_by_alt_text(evil))
    assert wide.title() == f"{evil} · Snaptask"
    assert wide.locator("img[src=x]").count() == 0


def test_a_stale_write_is_told_and_nothing_is_lost(troubled: Page, stack: Stack) -> None:
    add_task(troubled)
    task(troubled, "Paint the fence").click()
    other = troubled.context.new_page()
    other.goto(troubled.url)
    for page, title in ((troubled, "Mine"), (other, "Theirs")):
        expect(page.get_by_label("Title")).to_have_value("Paint the fence")
        page.get_by_label("Title").fill(title)
    other.get_by_role("button", name="Save").click()
    expect(other.get_by_role("button", name="Save")).to_have_count(0)
    with troubled.expect_response(lambda answer: answer.status == 412):
        troubled.get_by_role("button", name="Save").click()
    expect(troubled.get_by_role("alert")).to_contain_text("Somebody changed this task")
    expect(troubled.get_by_label("Title")).to_have_value("Mine")
    troubled.get_by_role("button", name="Keep mine").click()
    expect(troubled.get_by_role("button", name="Keep mine")).to_have_count(0)
    other.reload()
    expect(other.get_by_label("Title")).to_have_value("Mine")


def test_a_deletion_can_be_undone(page: Page) -> None:
    add_task(page)
    page.get_by_role("button", name="Delete Paint the fence").click()
    expect(task(page, "Paint the fence")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(task(page, "Paint the fence")).to_be_visible()
    page.reload()
    expect(task(page, "Paint the fence")).to_be_visible()


def test_a_deletion_holds_although_the_page_is_left_at_once(
    wide: Page, person: Person, stack: Stack
) -> None:
    wide.get_by_role("button", name="Sign out").click()
    sign_in(wide, person.email)
    add_task(wide)
    wide.get_by_role("button", name="Delete Paint the fence").click()
    wide.goto("about:blank")
    eventually(lambda: person.api.get("/tasks").json()["items"], lambda items: not items)
    wide.goto(stack.plan.origins[0])
    expect(wide.get_by_text("No tasks yet")).to_be_visible()


def test_filters_live_in_the_url(page: Page) -> None:
    for title in ("Paint the fence", "Call the roofer"):
        add_task(page, title)
    page.get_by_label("Search").fill("roof")
    expect(task(page, "Paint the fence")).to_have_count(0)
    assert page.url.endswith("?q=roof")
    page.reload()
    expect(task(page, "Call the roofer")).to_be_visible()
    expect(task(page, "Paint the fence")).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    expect(task(page, "Paint the fence")).to_be_visible()


def test_the_board_moves_tasks_by_keyboard(page: Page) -> None:
    add_task(page)
    page.get_by_role("button", name="Board").click()
    button = page.get_by_role("button", name="Move Paint the fence to Doing")
    button.focus()
    # It is shown at once, and told after it.
    with page.expect_response(lambda answer: answer.request.method == "PATCH"):
        page.keyboard.press("Enter")
    doing = page.get_by_role("region", name="Doing")
    expect(doing.get_by_role("link", name="Paint the fence")).to_be_visible()
    page.reload()
    expect(doing.get_by_role("link", name="Paint the fence")).to_be_visible()


def test_comments_are_written_and_taken_away(page: Page) -> None:
    add_task(page)
    task(page, "Paint the fence").click()
    page.get_by_label("Comment", exact=True).fill("Which colour?")
    page.get_by_role("button", name="Send").click()
    comments = page.get_by_role("region", name="Comments")
    expect(comments).to_contain_text("Which colour?")
    comments.get_by_role("button", name="Delete this comment").click()
    expect(comments).not_to_contain_text("Which colour?")


def test_a_task_tells_its_history_page_by_page(wide: Page, person: Person, stack: Stack) -> None:
    made = person.task()["id"]
    for count in range(15):
        status, place = ("doing", "open")[count % 2], ("first", "last")[count % 2]
        changed = person.api.patch(f"/tasks/{made}", json={"status": status})
        moved = person.api.put(f"/tasks/{made}/position", json={"to": place})
        assert (changed.status_code, moved.status_code) == (200, 200)
    path = f"/tasks/{made}/activity?limit=100"
    eventually(lambda: len(person.api.get(path).json()["items"]), lambda count: count == 31)
    wide.get_by_role("button", name="Sign out").click()
    sign_in(wide, person.email)
    wide.goto(f"{stack.plan.origins[0]}/tasks/{made}")
    wide.get_by_text("History").click()
    history = wide.get_by_role("list", name="History").get_by_role("listitem")
    expect(history).to_have_count(30)
    expect(history.first).to_contain_text("You moved it in the order by hand.")
    wide.get_by_role("button", name="Earlier").click()
    expect(history).to_have_count(31)
    expect(history.last).to_contain_text("You wrote this task.")
    expect(wide.get_by_role("button", name="Earlier")).to_have_count(0)


def test_somebody_joins_by_a_link_and_sees_the_pictures(
    page: Page, browser: Browser, stack: Stack
) -> None:
    add_task(page)
    task(page, "Paint the fence").click()
    zone = page.get_by_role("region", name="Pictures")
    give(page, "drop", zone, ("fence.jpg", "image/jpeg", photo()))
    has_loaded(page.get_by_alt_text("fence.jpg"))
    page.get_by_role("button", name="Link for a viewer").click()
    link = page.get_by_label("Good for one person, once").input_value()
    context = context_of(browser)
    guest = context.new_page()
    guest.goto(stack.plan.origins[0])
    sign_up(guest)
    guest.goto(link)
    guest.get_by_role("button", name="Join").click()
    has_loaded(guest.get_by_alt_text("fence.jpg"))
    expect(guest.get_by_label("Title")).to_have_attribute("readonly", "")
    guest.get_by_role("button", name="Open fence.jpg").click()
    has_loaded(guest.locator(".yarl__slide_current img"))
    context.close()


def test_the_same_picture_can_be_picked_again(wide: Page) -> None:
    wide.get_by_role("link", name="Pictures").click()
    picker = wide.get_by_label("Upload", exact=True)
    file = {"name": "fence.jpg", "mimeType": "image/jpeg", "buffer": photo()}
    for count in (1, 2):
        picker.set_input_files([file])  # type: ignore[list-item]
        expect(wide.get_by_role("button", name="Open fence.jpg")).to_have_count(count)


def test_the_original_is_saved_under_its_own_name(page: Page) -> None:
    page.get_by_role("link", name="Pictures").click()
    place = page.get_by_role("heading", name="Pictures")
    content = photo(640, 480)
    give(page, "drop", place, ("Grüße vom Meer.jpg", "image/jpeg", content))
    page.get_by_role("button", name="Open Grüße vom Meer.jpg").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download the original").click()
    assert saved.value.suggested_filename == "Grüße vom Meer.jpg"
    assert Path(saved.value.path()).read_bytes() == content


def test_a_person_saves_all_that_is_kept_of_him(wide: Page) -> None:
    add_task(wide, "Paint the fence")
    wide.get_by_role("link", name="Account").click()
    with wide.expect_download() as saved:
        wide.get_by_role("button", name="Save all of it as JSON").click()
    kept = json.loads(Path(saved.value.path()).read_bytes())
    assert "Paint the fence" in json.dumps(kept)


def test_signing_out_leaves_nothing_on_the_page(page: Page) -> None:
    add_task(page)
    page.get_by_role("button", name="Sign out").click()
    expect(is_out(page)).to_be_visible()
    assert "Paint the fence" not in page.content()
    page.reload()
    expect(is_out(page)).to_be_visible()


def test_whoever_signs_in_next_sees_nothing_of_who_was_here_before(wide: Page) -> None:
    add_task(wide, "Buy the ring")
    wide.get_by_role("button", name="Sign out").click()
    sign_up(wide)
    expect(wide.get_by_text("No tasks yet")).to_be_visible()
    assert "Buy the ring" not in wide.content()


def test_a_server_out_of_reach_is_said_and_tried_again(troubled: Page) -> None:
    refresh = "**/api/auth/refresh"
    troubled.route(refresh, lambda route: route.abort())
    troubled.reload()
    expect(troubled.get_by_role("alert")).to_have_text("The server cannot be reached.")
    troubled.unroute(refresh)
    troubled.get_by_role("button", name="Try again").click()
    expect(is_in(troubled)).to_be_visible()


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/", "**/api/tasks?**"),
        ("/media", "**/api/media?**"),
        ("/trash", "**/api/media?**"),
        ("/account", "**/api/auth/sessions"),
    ],
)
def test_a_page_that_cannot_be_loaded_says_so_and_is_tried_again(
    troubled: Page, stack: Stack, path: str, asked: str
) -> None:
    problem = json.dumps({"title": "This failed", "status": 500})
    troubled.route(asked, lambda route: route.fulfill(status=500, body=problem))
    troubled.goto(stack.plan.origins[0] + path)
    main = troubled.get_by_role("main")
    expect(main.get_by_role("alert")).to_contain_text("This failed")
    troubled.unroute(asked)
    main.get_by_role("button", name="Try again").click()
    expect(main.get_by_role("alert")).to_have_count(0)


def test_a_page_whose_code_cannot_be_loaded_says_so_and_the_others_are_still_there(
    browser: Browser, stack: Stack
) -> None:
    code = "**/assets/account-page-*.js"
    note = ("Failed to load resource", "TypeError: Failed to fetch dynamically imported module")
    with visited(browser, stack, note=note) as page:
        page.route(code, lambda route: route.abort())
        page.get_by_role("link", name="Account").click()
        fallen = page.get_by_role("main").get_by_role("alert")
        expect(fallen).to_contain_text("This page could not be loaded.")
        page.get_by_role("link", name="Tasks", exact=True).click()
        expect(is_in(page)).to_be_visible()
        page.get_by_role("link", name="Account").click()
        page.unroute(code)
        fallen.get_by_role("button", name="Try again").click()
        expect(page.get_by_role("heading", name="Account")).to_be_visible()


def test_a_list_that_is_not_answered_says_that_it_is_tried_again_and_comes_by_itself(
    troubled: Page, stack: Stack
) -> None:
    failed: list[Route] = []

    def fail_twice(route: Route) -> None:
        if len(failed) < 2:
            failed.append(route)
            route.abort()
        else:
            route.continue_()

    troubled.route("**/api/tasks?**", fail_twice)
    troubled.reload()
    expect(troubled.get_by_text("The server does not answer. Trying again…")).to_be_visible()
    expect(troubled.get_by_text("No tasks yet")).to_be_visible()


def test_sessions_are_shown_and_ended(page: Page) -> None:
    page.get_by_role("link", name="Account").click()
    expect(page.get_by_text("(this one)")).to_be_visible()
    page.get_by_role("button", name="Sign out everywhere").click()
    expect(is_out(page)).to_be_visible()


def test_every_page_fits_and_axe_finds_nothing_serious_on_it(page: Page, stack: Stack) -> None:
    add_task(page)
    found = {"tasks": violations(page)}
    too_wide = [] if _fits(page) else ["tasks"]
    task(page, "Paint the fence").click()
    give(
        page, "drop", page.get_by_role("region", name="Pictures"), ("a.jpg", "image/jpeg", photo())
    )
    has_loaded(page.get_by_alt_text("a.jpg"))
    found["task"] = violations(page)
    too_wide += [] if _fits(page) else ["task"]
    page.get_by_role("button", name="Open a.jpg").click()
    has_loaded(page.locator(".yarl__slide_current img"))
    # What still fades in has no contrast yet.
    page.wait_for_function("() => document.getAnimations().length === 0")
    found["lightbox"] = violations(page)
    for path in ("/?view=board", "/media", "/trash", "/account"):
        page.goto(stack.plan.origins[0] + path)
        page.get_by_role("main").get_by_role("heading").first.wait_for()
        page.wait_for_load_state("networkidle")
        found[path] = violations(page)
        too_wide += [] if _fits(page) else [path]
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(is_out(page)).to_be_visible()
    found["entrance"] = violations(page)
    too_wide += [] if _fits(page) else ["entrance"]
    assert too_wide == []
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_gallery_does_not_move_while_its_pictures_load(page: Page, stack: Stack) -> None:
    page.get_by_role("link", name="Pictures").click()
    place = page.get_by_role("heading", name="Pictures")
    shots = [(f"{at}.jpg", "image/jpeg", photo(300 + 40 * at, 300)) for at in range(8)]
    give(page, "drop", place, *shots)
    for name, _, _ in shots:
        has_loaded(page.get_by_alt_text(name, exact=True))
    # An upload whose end its page has not heard of would be continued after the reload.
    expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
    page.add_init_script(
        """
        window.shift = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) {
            if (!entry.hadRecentInput) window.shift += entry.value;
          }
        }).observe({ type: "layout-shift", buffered: true });
        """
    )
    page.reload()
    for name, _, _ in shots:
        has_loaded(page.get_by_alt_text(name, exact=True))
    assert page.evaluate("window.shift") == 0


def test_what_loads_first_is_small_and_the_rest_comes_when_it_is_needed() -> None:
    built = ROOT / "web" / "dist"
    manifest = json.loads((built / ".vite" / "manifest.json").read_text())
    first = _closure(manifest, "index.html")
    size = sum(len(gzip.compress((built / name).read_bytes())) for name in first)
    assert size <= 130_000
    later = [name for name in manifest if re.search(r"(lightbox|board|gallery-page)\.tsx$", name)]
    assert len(later) == 3
    assert not first & {manifest[name]["file"] for name in later}


def _closure(manifest: dict[str, dict[str, object]], entry: str) -> set[str]:
    chunk = manifest[entry]
    found = {str(chunk["file"])}
    for name in chunk.get("imports", []):  # type: ignore[attr-defined]
        found |= _closure(manifest, name)
    return found


def test_nothing_that_opens_a_door_is_in_the_built_files() -> None:
    """The policy forbids it; this says where it would come from."""
    for file in Path(ROOT / "web" / "dist").rglob("*.html"):
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bon[a-z]+=|<style|style=", text), file
