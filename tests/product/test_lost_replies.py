"""Firestore's reply to each commit of each writing operation gets lost, is refused, or comes too
late: what was acknowledged happened once, as it does when nothing goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


@contextmanager
def staged(proxy: FirestoreProxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    proxy.heal()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
    with firestore_documents() as documents:
        yield Scene(Product(documents))


def outcome(scene: Scene, name: str) -> tuple[int, list[str]]:
    answer = send(scene, name, key="the key")
    return answer.status_code, scene.product.state(scene.known)


@pytest.mark.parametrize("name", WRITES)
def test_every_acknowledged_write_happened_once(
    proxy: FirestoreProxy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with staged(proxy, monkeypatch) as scene:
        calls = len(proxy.calls)
        wanted = outcome(scene, name)
        commits = proxy.calls[calls:].count("Commit")
    assert wanted[0] == OPERATIONS[name].status
    for nth in range(commits):
        for faults in FAULTS:
            with staged(proxy, monkeypatch) as scene:
                proxy.order("Commit", *("none",) * nth, *faults)
                seen = outcome(scene, name)
                proxy.settle()
                assert (nth, faults, *seen) == (nth, faults, *wanted)
