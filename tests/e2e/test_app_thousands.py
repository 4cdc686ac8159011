"""A gallery of three thousand pictures: the page stays small, stands still, and keeps its links."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore
from playwright.sync_api import Browser, Page

from shared.ids import new_id
from tests.fixtures.app import has_loaded, photo, visited
from tests.fixtures.stack import Person, Stack, fresh_cloud

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
MANY = 3000
SIZES = ((400, 300), (300, 400), (640, 360), (300, 300))
# A tile is eight elements; three pages of a hundred fit around the window, and the page's own.
MOST_ELEMENTS = 3000
WATCH = """
window.shift = 0;
window.slow = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.slow.push(entry.duration);
}).observe({ type: "longtask", buffered: true });
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Of its own: the emulator's queries and the reconciler read all the documents there are."""
    with fresh_cloud(tmp_path_factory) as running:
        yield running


def fill(stack: Stack, person: Person, count: int = MANY) -> None:
    """As if so many had been uploaded: documents of media that share the files of a few."""
    made = [
        person.settled(person.upload(photo(*size), fileName=f"{at}.jpg"))["id"]
        for at, size in enumerate(SIZES)
    ]
    client = firestore.Client(project=stack.plan.project, credentials=AnonymousCredentials())
    try:
        models = [client.document(f"media/{one}").get().to_dict() or {} for one in made]
        begin = datetime.now(UTC) - timedelta(days=100)
        for first in range(0, count - len(models), 400):
            batch = client.batch()
            for at in range(first, min(first + 400, count - len(models))):
                moment = begin + timedelta(minutes=at)
                told: dict[str, Any] = models[at % len(models)] | {
                    "fileName": f"picture {at}.jpg",
                    "createdAt": moment,
                }
                batch.create(client.document(f"media/{new_id()}"), told)
            batch.commit()
    finally:
        client.close()


@pytest.fixture(params=[1440, 360], ids=["wide", "narrow"])
def gallery(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    browser: Browser,
    stack: Stack,
    person: Person,
) -> Iterator[Page]:
    address = stack.plan.url("firestore").removeprefix("http://")
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", address)
    fill(stack, person)
    with visited(browser, stack, request.param, person) as page:
        page.add_init_script(WATCH)
        page.goto(f"{stack.plan.origins[0]}/media")
        has_loaded(page.get_by_alt_text("0.jpg", exact=True))
        yield page


def elements(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


def scroll_to_the_end(page: Page) -> list[int]:
    """By the wheel, as a person does; returns how many elements the page had on the way."""
    counted: list[int] = []
    oldest = page.get_by_alt_text("picture 0.jpg", exact=True)
    while not oldest.count():
        page.mouse.wheel(0, 1600)
        page.evaluate(
            "() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))"
        )
        counted.append(elements(page))
    oldest.scroll_into_view_if_needed()
    has_loaded(oldest)
    return counted


def test_thousands_of_pictures_leave_the_page_small_and_where_it_stands(gallery: Page) -> None:
    viewport = gallery.viewport_size
    assert viewport is not None
    gallery.mouse.move(viewport["width"] / 2, viewport["height"] / 2)
    counted = scroll_to_the_end(gallery)
    slow = sorted(gallery.evaluate("window.slow"))
    print(
        f"{len(counted)} turns of the wheel; at most {max(counted)} elements; layout shift "
        f"{gallery.evaluate('window.shift'):.4f}; {len(slow)} tasks above 50 ms, "
        f"the longest {slow[-1:]} ms"
    )
    assert max(counted) < MOST_ELEMENTS
    assert gallery.evaluate("window.shift") == 0
    # And back: what was far away is there again, as it was.
    gallery.keyboard.press("Home")
    gallery.mouse.wheel(0, -10_000_000)
    has_loaded(gallery.get_by_alt_text("0.jpg", exact=True))
    assert elements(gallery) < MOST_ELEMENTS
    assert gallery.evaluate("window.shift") == 0
