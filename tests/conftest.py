"""What all tests share: running emulators, one of each kind in a test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures import emulated


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
