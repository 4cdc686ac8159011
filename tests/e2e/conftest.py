"""Somebody in front of the app, for the tests of it in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.fixtures.app import visited
from tests.fixtures.chromium import chromium
from tests.fixtures.stack import Stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(params=[1440, 360], ids=["wide", "narrow"])
def page(request: pytest.FixtureRequest, browser: Browser, stack: Stack) -> Iterator[Page]:
    with visited(browser, stack, request.param) as page:
        yield page


@pytest.fixture
def wide(browser: Browser, stack: Stack) -> Iterator[Page]:
    with visited(browser, stack, 1440) as page:
        yield page


@pytest.fixture
def troubled(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Where a test makes requests fail, the browser notes each of them on the console."""
    with visited(browser, stack, 1440, note="Failed to load resource") as page:
        yield page
