"""Numbers that are counted up and told in one round trip, in memory and in Firestore."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.documents import Count, Create, DocumentStore, Set
from shared.documents.firestore import FirestoreDocuments
from shared.errors import Unavailable
from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.fixtures.stores import firestore_documents
from tests.fixtures.stores import patient as patient

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def stored(documents: DocumentStore, path: str) -> dict[str, Any]:
    found = documents.get(path)
    assert found is not None
    assert found.commit_id
    return {name: value for name, value in found.data.items() if name != "commitId"}


def test_what_is_missing_counts_from_nothing_and_the_new_number_is_told(
    documents: DocumentStore,
) -> None:
    assert documents.count([Count("rates/a", {"expireAt": NOON})]) == [1]
    assert documents.count([Count("rates/a", step=4), Count("rates/b", step=-2)]) == [5, -2]
    assert stored(documents, "rates/a") == {"count": 5, "expireAt": NOON}
    assert stored(documents, "rates/b") == {"count": -2}


def test_the_numbers_are_told_in_the_order_in_which_they_were_asked_for(
    documents: DocumentStore,
) -> None:
    names = [f"rates/n{n}" for n in (7, 1, 4, 9, 2)]
    for number, name in enumerate(names):
        documents.commit([Create(name, {"count": number * 10})])
    assert documents.count([Count(name) for name in names]) == [1, 11, 21, 31, 41]


def test_counting_keeps_every_other_field_and_sets_the_given_ones(
    documents: DocumentStore,
) -> None:
    documents.commit([Set("rates/a", {"count": 1, "tasks": 7, "kept": ["x"], "set": "old"})])
    assert documents.count([Count("rates/a", {"set": "new"}, name="tasks")]) == [8]
    assert stored(documents, "rates/a") == {"count": 1, "tasks": 8, "kept": ["x"], "set": "new"}


@pytest.mark.parametrize("present", ["7", None, True, [1]])
def test_what_is_no_number_counts_as_nothing(documents: DocumentStore, present: Any) -> None:
    documents.commit([Set("rates/a", {"count": present})])
    assert documents.count([Count("rates/a", step=3)]) == [3]


@pytest.mark.usefixtures("patient")
def test_of_many_who_count_at_once_no_two_are_told_the_same(documents: DocumentStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda _: documents.count([Count("rates/a")])[0], range(64)))
    assert sorted(told) == list(range(1, 65))


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [Count("rates/a"), Count("rates/a", name="other")],
        [Count("rates/a", {"count": 1})],
        [Count("rates/a", {"commitId": "mine"})],
        [Count("rates/a", name="a.b")],
        [Count("rates/a", {"a.b": 1})],
        [Count("rates/../users")],
        [Count("rates")],
    ],
)
def test_a_riddle_is_refused_and_nothing_is_counted(
    documents: DocumentStore, counts: list[Count]
) -> None:
    with pytest.raises(ValueError):
        documents.count(counts)
    assert documents.query("rates") == []


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as proxy:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        yield proxy


@pytest.fixture
def distant(proxy: FirestoreProxy) -> Iterator[FirestoreDocuments]:
    with firestore_documents() as documents:
        yield documents


@pytest.mark.emulated
@pytest.mark.parametrize(
    ("faults", "told"),
    [(("refuse",), 1), (("abort",), 1), (("lose",), 2), (("lose", "lose"), 3), (("hold",), 2)],
)
def test_a_lost_reply_may_count_twice_and_never_too_little(
    distant: FirestoreDocuments, proxy: FirestoreProxy, faults: tuple[Fault, ...], told: int
) -> None:
    proxy.order("Commit", *faults)
    assert distant.count([Count("rates/a")]) == [told]
    proxy.settle()
    assert stored(distant, "rates/a") == {"count": told}


@pytest.mark.emulated
def test_a_database_that_never_answers_is_told(
    distant: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    proxy.order("Commit", *["refuse"] * 50)  # type: ignore[list-item]
    with pytest.raises(Unavailable):
        distant.count([Count("rates/a")])
