"""One local cloud for all end-to-end tests of a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.stack import Person, Stack, local_cloud


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with local_cloud(tmp_path_factory.mktemp("cloud") / "data", "--no-reload") as running:
        yield running


@pytest.fixture
def person(stack: Stack) -> Iterator[Person]:
    with stack.person() as somebody:
        yield somebody


@pytest.fixture
def stranger(stack: Stack) -> Iterator[Person]:
    with stack.person() as somebody:
        yield somebody
