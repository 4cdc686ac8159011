"""The first page in a real browser: from signing up to a ready photograph on a task."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fixtures import pictures
from tests.fixtures.chromium import chromium
from tests.fixtures.stack import PASSWORD, Stack

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]
PATIENCE = 30_000
DROP = """
async ([target, name, text]) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], name, { type: "image/jpeg" }));
  target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(params=[1280, 360], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Iterator[Page]:
    """The page as somebody sees it who comes for the first time; whatever it complains of on
    its console fails the test."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(stack.plan.origins[0])
    yield page
    context.close()
    assert complaints == []


def sign_up(page: Page) -> str:
    email = f"{secrets.token_hex(6)}@example.com"
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    expect(page.locator("#who")).to_have_text(email)
    return email


def add_task(page: Page, title: str = "Paint the fence") -> None:
    page.get_by_label("New task").fill(title)
    page.get_by_role("button", name="Add task").click()
    expect(page.locator(".task .title").first).to_have_text(title)


def choose(page: Page, *files: Path | dict[str, object]) -> None:
    page.locator(".task input[type=file]").first.set_input_files(list(files))  # type: ignore[arg-type]


def photo(name: str, content: bytes, kind: str = "image/jpeg") -> dict[str, object]:
    return {"name": name, "mimeType": kind, "buffer": content}


def test_a_photo_becomes_ready_on_its_task_and_is_there_after_a_reload(page: Page) -> None:
    sign_up(page)
    add_task(page)
    content = pictures.saved(pictures.photo(1600, 1200), "JPEG", quality=90)
    choose(page, photo("fence.jpg", content))
    expect(page.locator(".picture .state")).to_have_text("Ready · 1600 × 1200")
    _shows_its_picture(page)
    page.reload()
    expect(page.locator(".picture .state")).to_have_text("Ready · 1600 × 1200")
    _shows_its_picture(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing hangs out"


def _shows_its_picture(page: Page) -> None:
    image = page.locator(".picture img")
    page.wait_for_function("image => image.naturalWidth > 0", arg=image.element_handle())
    assert image.evaluate("image => image.naturalWidth") == 320


def test_a_photo_can_be_dropped(page: Page) -> None:
    sign_up(page)
    add_task(page)
    content = pictures.saved(pictures.photo(400, 300), "JPEG")
    drop = page.locator(".task .drop").element_handle()
    page.evaluate(DROP, [drop, "dropped.jpg", base64.b64encode(content).decode()])
    expect(page.locator(".picture .state")).to_have_text("Ready · 400 × 300")


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page) -> None:
    sign_up(page)
    add_task(page)
    choose(page, photo("fence.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"))
    expect(page.locator(".picture .state")).to_contain_text("Not taken")


def test_what_a_person_wrote_is_never_markup(page: Page) -> None:
    sign_up(page)
    evil = "<img src=x onerror=\"document.title='broken in'\">"
    add_task(page, evil)
    content = pictures.saved(pictures.photo(200, 100), "JPEG")
    choose(page, photo(evil.replace("/", ""), content))
    expect(page.locator(".picture .state")).to_have_text("Ready · 200 × 100")
    assert page.title() == "Snaptask"
    assert page.locator(".title img, .name img").count() == 0


def test_signing_out_leaves_nothing_on_the_page(page: Page) -> None:
    sign_up(page)
    add_task(page)
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#entrance")).to_be_visible()
    assert page.locator(".task").count() == 0
    page.reload()
    expect(page.locator("#entrance")).to_be_visible()
