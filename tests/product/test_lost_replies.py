"""Firestore's reply to each commit of each writing operation gets lost, is refused, or comes too
late: what was acknowledged happened once, as it does when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.fixtures.product import Product
from tests.fixtures.stores import firestore_documents
from tests.product.operations import OPERATIONS, WRITES, Scene, send

pytestmark = pytest.mark.emulated

FAULTS: list[tuple[Fault, ...]] = [("lose",), ("late",), ("lose", "refuse", "lose")]


@pytest.fixture(scope="module")
def proxy(firestore_emulator: str) -> Iterator[FirestoreProxy]:
    with between(firestore_emulator) as made:
        yield made


@pytest.fixture(scope="module")
def prepared() -> Scene:
    return Scene(Product())


@pytest.fixture
def staged(
    proxy: FirestoreProxy, prepared: Scene, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], AbstractContextManager[Scene]]:
    """The scene in a database of its own, each time."""
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)

    @contextmanager
    def moved() -> Iterator[Scene]:
        proxy.heal()
        with firestore_documents() as documents:
            yield prepared.moved(Product(documents))

    return moved


def outcome(scene: Scene, name: str) -> tuple[int, list[str]]:
    answer = send(scene, name, key="the key")
    return answer.status_code, scene.product.state(scene.known)


@pytest.mark.parametrize("name", WRITES)
def test_every_acknowledged_write_happened_once(
    proxy: FirestoreProxy, staged: Callable[[], AbstractContextManager[Scene]], name: str
) -> None:
    with staged() as scene:
        calls = len(proxy.calls)
        wanted = outcome(scene, name)
        commits = proxy.calls[calls:].count("Commit")
    assert wanted[0] == OPERATIONS[name].status
    for nth in range(commits):
        for faults in FAULTS:
            with staged() as scene:
                proxy.order("Commit", *("none",) * nth, *faults)
                seen = outcome(scene, name)
                proxy.settle()
                assert (nth, faults, *seen) == (nth, faults, *wanted)
