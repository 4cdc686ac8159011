"""What all tests share: running emulators, one of each kind in a test process."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psutil
import pytest

from tests.fixtures import emulated
from tests.fixtures.stack import Person, Stack, fresh_cloud


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """No process and no thread that would keep this one alive; those of a pool, and the tracker of
    multiprocessing, end with it. Made first, so it ends last: after whatever all tests share."""
    before = set(threading.enumerate())
    yield
    children = [one.cmdline() for one in psutil.Process().children(recursive=True)]
    assert [one for one in children if "resource_tracker" not in " ".join(one)] == []
    left = {one for one in threading.enumerate() if not one.daemon} - before
    assert [one for one in left if "ThreadPoolExecutor" not in one.name] == []


@pytest.fixture(scope="session")
def firestore_emulator() -> Iterator[str]:
    with emulated.firestore() as address:
        yield address


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[str]:
    with emulated.pubsub() as address:
        yield address


@pytest.fixture
def firestore(firestore_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a Firestore emulator, which clients made in this test will use. Take a
    project id of your own: every project is a database of its own."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", firestore_emulator)
    return firestore_emulator


@pytest.fixture
def pubsub(pubsub_emulator: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a Pub/Sub emulator, which clients made in this test will use."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator)
    return pubsub_emulator


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One local cloud for all tests of a test process; mark them xdist_group("stack")."""
    with fresh_cloud(tmp_path_factory) as running:
        yield running


@pytest.fixture
def person(stack: Stack) -> Iterator[Person]:
    with stack.person() as somebody:
        yield somebody


@pytest.fixture
def stranger(stack: Stack) -> Iterator[Person]:
    with stack.person() as somebody:
        yield somebody
