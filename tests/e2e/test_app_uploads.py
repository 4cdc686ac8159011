"""Bytes that change between the browser and the bucket, or come when nobody waits for them any
more: noticed, said, and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from emulators.official import OWNER
from tests.fixtures import http
from tests.fixtures.app import give, has_loaded, photo, task, visited
from tests.fixtures.stack import Person, Stack

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
MIB = 1024 * 1024
CHANGED = "It changed on the way. Sending it again"


@pytest.fixture
def pictures(browser: Browser, stack: Stack, person: Person) -> Iterator[Page]:
    with (
        _without_faults(stack),
        visited(browser, stack, 1440, person, note="Failed to load resource") as page,
    ):
        page.get_by_role("link", name="Pictures").click()
        page.evaluate(
            """() => {
              window.said = new Set();
              new MutationObserver(() => {
                const lines = document.querySelectorAll("[data-phase]");
                for (const line of lines) window.said.add(line.innerText);
              }).observe(document.body, { subtree: true, childList: true, characterData: true });
            }"""
        )
        yield page


@contextmanager
def _without_faults(stack: Stack) -> Iterator[None]:
    """Afterwards, however it ends: others use this cloud too."""
    try:
        yield
    finally:
        told = {"content-type": "application/json"}
        http.delete(_faults(stack), headers=told).raise_for_status()


def alter(stack: Stack, count: int) -> None:
    """The next uploads into the inbox arrive with another byte."""
    prefix = f"/{stack.plan.bucket('inbox')}"
    fault = {"kind": "alter", "method": "PUT", "path_prefix": prefix, "count": count}
    http.post(_faults(stack), json=fault | {"after_bytes": 100}).raise_for_status()


def let_its_time_pass(stack: Stack, media_id: str) -> None:
    """What was signed for the medium was signed for a quarter of an hour."""
    field = {"uploadExpiresAt": {"timestampValue": "2026-01-01T00:00:00Z"}}
    http.patch(
        f"{stack.plan.url('firestore')}/v1/projects/{stack.plan.project}"
        f"/databases/(default)/documents/media/{media_id}",
        params={"updateMask.fieldPaths": "uploadExpiresAt"},
        json={"fields": field},
        headers=OWNER,
    ).raise_for_status()


def _faults(stack: Stack) -> str:
    return f"{stack.plan.url('storage')}/_emulator/faults"


def drop(page: Page, content: bytes) -> None:
    give(
        page, "drop", page.get_by_role("heading", name="Pictures"), ("a.jpg", "image/jpeg", content)
    )


def was_said(page: Page, words: str) -> bool:
    return bool(
        page.evaluate("words => [...window.said].some((one) => one.includes(words))", words)
    )


@pytest.mark.parametrize("padding", [0, 9 * MIB], ids=["one request", "by parts"])
def test_a_byte_that_changes_on_the_way_costs_another_way_and_nothing_else(
    pictures: Page, stack: Stack, person: Person, padding: int
) -> None:
    content = photo() + bytes(padding)
    alter(stack, 1)
    drop(pictures, content)
    has_loaded(pictures.get_by_alt_text("a.jpg"))
    assert was_said(pictures, CHANGED)
    (medium,) = person.api.get("/media").json()["items"]
    usage = person.api.get("/media/usage").json()
    assert (medium["state"], usage["used"]) == ("ready", len(content))


def test_a_task_written_with_a_picture_that_changes_on_the_way_carries_the_whole_one(
    pictures: Page, stack: Stack
) -> None:
    pictures.get_by_role("link", name="Tasks", exact=True).click()
    title = pictures.get_by_label("New task")
    title.fill("Paint the fence")
    alter(stack, 1)
    give(pictures, "paste", title, ("a.jpg", "image/jpeg", photo()))
    pictures.get_by_role("button", name="Add task").click()
    task(pictures, "Paint the fence").click()
    has_loaded(pictures.get_by_alt_text("a.jpg"))
    tiles = pictures.get_by_role("region", name="Pictures").get_by_role("listitem")
    expect(tiles).to_have_count(1)
    assert was_said(pictures, CHANGED)


def test_a_line_that_changes_every_byte_sent_is_said_and_tried_again_by_hand(
    pictures: Page, stack: Stack
) -> None:
    alter(stack, 3)
    drop(pictures, photo())
    tray = pictures.get_by_role("region", name="Uploads")
    expect(tray).to_contain_text("It keeps changing on the way to the storage.")
    tray.get_by_role("button", name="Retry a.jpg").click()
    has_loaded(pictures.get_by_alt_text("a.jpg"))


def test_a_storage_that_has_another_sum_than_the_page_is_not_believed(
    pictures: Page, stack: Stack, person: Person
) -> None:
    """The header can be read by a page of another origin, which only the bucket's rule allows."""
    sums: list[str] = []

    def lie(route: Route) -> None:
        if route.request.method != "PUT" or len(sums) > 1:
            return route.continue_()
        answer = route.fetch()
        sums.append(answer.headers["x-goog-hash"])
        told = "crc32c=AAAAAA==" if len(sums) == 1 else sums[-1]
        return route.fulfill(response=answer, headers=answer.headers | {"x-goog-hash": told})

    pictures.route(f"{stack.plan.url('storage')}/**", lie)
    drop(pictures, photo())
    has_loaded(pictures.get_by_alt_text("a.jpg"))
    assert was_said(pictures, CHANGED)
    assert len(sums) == 2
    assert sums[0] == sums[1]


@pytest.mark.parametrize("padding", [0, 9 * MIB], ids=["one request", "by parts"])
def test_an_upload_that_rests_for_longer_than_its_signature_is_taken_up_all_the_same(
    pictures: Page, stack: Stack, person: Person, padding: int
) -> None:
    """In one request it becomes another medium, and the room of the first one is free at once; by
    parts it goes on in its session."""
    storage = f"{stack.plan.url('storage')}/**"
    content = photo() + bytes(padding)
    pictures.route(storage, lambda route: _cut(route, content))
    drop(pictures, content)
    tray = pictures.get_by_role("region", name="Uploads")
    expect(tray).to_contain_text("Trying again")
    tray.get_by_role("button", name="Pause a.jpg").click()
    first = person.api.get("/media").json()["items"][0]["id"]
    let_its_time_pass(stack, first)
    pictures.unroute(storage)
    tray.get_by_role("button", name="Resume a.jpg").click()
    has_loaded(pictures.get_by_alt_text("a.jpg"))
    (medium,) = person.api.get("/media").json()["items"]
    assert (medium["id"] == first) == bool(padding)
    usage = person.api.get("/media/usage").json()
    assert (medium["state"], usage["used"], usage["reserved"]) == ("ready", len(content), 0)


def _cut(route: Route, content: bytes) -> None:
    """No byte of one request, and only the first part of several."""
    part = route.request.headers.get("content-range", "bytes 0-0")
    if route.request.method == "PUT" and (len(content) < MIB or not part.startswith("bytes 0-")):
        route.abort()
    else:
        route.continue_()


def test_pictures_dropped_on_a_task_reach_it_although_its_page_is_left_and_loaded_anew(
    pictures: Page, stack: Stack, person: Person
) -> None:
    """More of them than are sent at once, so that some have no name yet when the page is left."""
    task_id = person.task()["id"]
    pictures.goto(f"{stack.plan.origins[0]}/tasks/{task_id}")
    storage = f"{stack.plan.url('storage')}/**"
    pictures.route(storage, lambda route: route.abort())
    names = [f"{number}.jpg" for number in range(5)]
    files = [(name, "image/jpeg", photo(64 + at, 64)) for at, name in enumerate(names)]
    give(pictures, "drop", pictures.get_by_role("heading", name="Pictures"), *files)
    expect(pictures.get_by_role("region", name="Uploads").get_by_role("listitem")).to_have_count(5)
    pictures.get_by_role("link", name="Account").click()
    pictures.reload()
    expect(pictures.get_by_role("region", name="Uploads").get_by_role("listitem")).to_have_count(5)
    pictures.unroute(storage)
    pictures.goto(f"{stack.plan.origins[0]}/tasks/{task_id}")
    for name in names:
        has_loaded(pictures.get_by_alt_text(name))
    tiles = pictures.get_by_role("region", name="Pictures").get_by_role("listitem")
    expect(tiles).to_have_count(5)


def test_a_picture_that_is_detached_leaves_no_tile_behind(
    pictures: Page, stack: Stack, person: Person
) -> None:
    pictures.goto(f"{stack.plan.origins[0]}/tasks/{person.task()['id']}")
    drop(pictures, photo())
    tiles = pictures.get_by_role("region", name="Pictures").get_by_role("listitem")
    has_loaded(pictures.get_by_alt_text("a.jpg"))
    expect(tiles).to_have_count(1)
    pictures.get_by_role("button", name="Detach a.jpg").click()
    expect(tiles).to_have_count(0)
