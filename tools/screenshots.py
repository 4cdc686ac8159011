"""Takes the pictures of the app that the README shows, from a running local cloud.

`make screenshots` while `make dev` runs: signs somebody up, writes two tasks, drops a photograph
on one, and saves the page wide and narrow into docs/images.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tools import browser as installed

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PHOTOGRAPH = IMAGES / "coffee.jpg"
WIDTHS = {"first-page": 1100, "first-page-narrow": 390}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description=__doc__)
    parser.add_argument("--url", default="http://localhost:3000")
    url = parser.parse_args(arguments).url
    path = installed.find()
    if path is None:
        print("No Chromium; run `python -m tools.browser` first", file=sys.stderr)
        return 1
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(installed.ARGS))
        for name, width in WIDTHS.items():
            _take(browser, url, IMAGES / f"{name}.png", width)
        browser.close()
    return 0


def _take(browser: Browser, url: str, file: Path, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 640}, device_scale_factor=2)
    page.goto(url)
    page.get_by_label("E-mail address").fill(f"ada-{secrets.token_hex(2)}@example.com")
    page.get_by_label("Password").fill(secrets.token_urlsafe(12))
    page.get_by_role("button", name="Sign up").click()
    for title in ("Call the roofer", "Find the coffee we had in Portland"):
        _write_task(page, title)
    page.locator(".task input[type=file]").first.set_input_files(PHOTOGRAPH)
    expect(page.locator(".picture .state")).to_contain_text("Ready", timeout=30_000)
    image = page.locator(".picture img").element_handle()
    page.wait_for_function("image => image.naturalWidth > 0", arg=image)
    page.screenshot(path=file)
    page.close()


def _write_task(page: Page, title: str) -> None:
    page.get_by_label("New task").fill(title)
    page.get_by_role("button", name="Add task").click()
    expect(page.locator(".task .title").first).to_have_text(title)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
