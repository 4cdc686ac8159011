"""Takes the pictures of the app that the README shows, from a running local cloud.

`make screenshots` while `make dev` runs: signs somebody up, writes tasks, pastes a photograph into
one, and saves each page wide and narrow into docs/images.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tools import browser as installed

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PHOTOGRAPH = IMAGES / "coffee.jpg"
WIDTHS = {"": 1200, "-narrow": 390}
TITLE = "Find the coffee we had in Portland"
TITLES = ("Call the roofer", "Sort the photographs of spring", TITLE)
PATIENCE = 30_000


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("--url", default="http://localhost:3000")
    parser.add_argument("--into", type=Path, default=IMAGES)
    parser.add_argument("--dark", action="store_true")
    given = parser.parse_args(arguments)
    path = installed.find()
    if path is None:
        print("No Chromium; run `python -m tools.browser` first", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(installed.ARGS))
        for suffix, width in WIDTHS.items():
            _take_all(browser, given.url, given.into, suffix, width, given.dark)
        browser.close()
    return 0


def _take_all(browser: Browser, url: str, into: Path, suffix: str, width: int, dark: bool) -> None:
    scheme: Literal["dark", "light"] = "dark" if dark else "light"
    context = browser.new_context(viewport={"width": width, "height": 760}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page = context.new_page()

    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=into / f"{name}{suffix}.png")

    page.goto(url)
    take("entrance")
    _sign_up(page)
    for title in TITLES:
        _write_task(page, title)
    take("tasks")
    page.get_by_role("link", name=TITLE, exact=True).click()
    page.get_by_label("Title").wait_for()
    page.locator("input[type=file]").set_input_files(PHOTOGRAPH)
    _has_loaded(page, "coffee.jpg")
    take("task")
    page.goto(f"{url}/?view=board")
    page.get_by_role("link", name=TITLE, exact=True).wait_for()
    take("board")
    page.goto(f"{url}/media")
    page.locator("input[type=file]").set_input_files(sorted(IMAGES.glob("*.jpg")))
    _has_loaded(page, "coffee.jpg")
    take("gallery")
    page.get_by_role("button", name="Open coffee.jpg").first.click()
    page.locator(".yarl__slide_current img").wait_for()
    take("lightbox")
    for name in ("trash", "account"):
        page.goto(f"{url}/{name}")
        page.get_by_role("heading").first.wait_for()
        take(name)
    context.close()


def _sign_up(page: Page) -> None:
    page.get_by_role("button", name="Sign up").click()
    page.get_by_label("E-mail address").fill(f"ada-{secrets.token_hex(2)}@example.com")
    page.get_by_label("Password").fill(secrets.token_urlsafe(12))
    page.get_by_role("button", name="Sign up").click()


def _write_task(page: Page, title: str) -> None:
    page.get_by_label("New task").fill(title)
    page.get_by_role("button", name="Add task").click()
    expect(page.get_by_role("link", name=title, exact=True)).to_be_visible()


def _has_loaded(page: Page, name: str) -> None:
    image = page.get_by_alt_text(name).first
    image.wait_for()
    page.wait_for_function(
        "image => image.complete && image.naturalWidth > 0", arg=image.element_handle()
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
