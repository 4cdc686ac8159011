"""Sums that many writers keep at once: the number after one's own commit is told in its answer."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.documents import (
    Add,
    AlreadyExists,
    Create,
    Delete,
    DocumentStore,
    PreconditionFailed,
    Set,
    Update,
    Write,
)
from shared.documents.firestore import FirestoreDocuments
from tests.fixtures import stores
from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.fixtures.stores import patient as patient


def number(documents: DocumentStore, path: str, name: str = "n") -> object:
    found = documents.get(path)
    return found.data.get(name) if found else None


def test_adding_makes_the_document_and_tells_the_sum(documents: DocumentStore) -> None:
    first = documents.commit_counted(
        [Create("marks/a", {}), Add("sums/one", {"n": 5, "m": -1}, {"owner": "ada"})]
    )
    second = documents.commit_counted([Create("marks/b", {}), Add("sums/one", {"n": 2, "k": 0})])
    assert first == {"sums/one": {"n": 5, "m": -1}}
    assert second == {"sums/one": {"n": 7, "k": 0}}
    found = documents.get("sums/one")
    assert found is not None
    assert {**found.data, "commitId": ""} == {
        "owner": "ada",
        "n": 7,
        "m": -1,
        "k": 0,
        "commitId": "",
    }


def test_the_sum_of_an_update_is_told_too_and_of_nothing_else(documents: DocumentStore) -> None:
    documents.commit([Create("sums/one", {"n": 1})])
    told = documents.commit_counted(
        [
            Create("marks/a", {"n": 9}),
            Update("sums/one", {"x": 1}, increment={"n": 3}),
            Set("things/one", {"n": 9}),
            Delete("things/two"),
            Add("things/three", {}, {"x": 1}),
        ]
    )
    assert told == {"sums/one": {"n": 4}}


def test_a_refused_commit_adds_nothing(documents: DocumentStore) -> None:
    documents.commit([Create("marks/a", {})])
    with pytest.raises(AlreadyExists):
        documents.commit_counted([Create("marks/a", {}), Add("sums/one", {"n": 5})])
    with pytest.raises(PreconditionFailed):
        documents.commit([Update("things/gone"), Create("marks/b", {}), Add("sums/one", {"n": 5})])
    assert documents.get("sums/one") is None


@pytest.mark.parametrize(
    "beside",
    [[], [Set("marks/a", {})], [Delete("marks/a")], [Add("marks/a", {"n": 1})]],
    ids=repr,
)
def test_an_addition_that_could_count_twice_is_refused(
    documents: DocumentStore, beside: list[Write]
) -> None:
    with pytest.raises(ValueError, match="increment"):
        documents.commit([*beside, Add("sums/one", {"n": 1})])


@pytest.mark.usefixtures("patient")
def test_of_fifty_writers_each_is_told_another_sum(documents: DocumentStore) -> None:
    def add(mark: int) -> object:
        told = documents.commit_counted([Create(f"marks/{mark}", {}), Add("sums/one", {"n": 1})])
        return told["sums/one"]["n"]

    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(add, range(50)))
    assert sorted(map(str, told), key=int) == [str(n) for n in range(1, 51)]


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as proxy:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        yield proxy


@pytest.fixture
def distant(proxy: FirestoreProxy) -> Iterator[FirestoreDocuments]:
    with stores.firestore_documents() as documents:
        yield documents


@pytest.mark.emulated
@pytest.mark.parametrize("fault", ["none", "refuse", "lose", "hold", "late", "abort"])
def test_a_lost_reply_adds_once_and_still_tells_the_sum(
    distant: FirestoreDocuments, proxy: FirestoreProxy, fault: Fault
) -> None:
    for turn, mark in enumerate("ab", 1):
        proxy.order("Commit", fault)
        told = distant.commit_counted([Create(f"marks/{mark}", {}), Add("sums/one", {"n": 5})])
        proxy.settle()
        assert told == {"sums/one": {"n": 5 * turn}}
        assert number(distant, "sums/one") == 5 * turn


@pytest.mark.emulated
def test_a_sum_that_is_gone_when_its_lost_reply_is_looked_up_has_no_numbers(
    distant: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    forward = proxy._forward

    def removed(*call: object) -> object:
        try:
            return forward(*call)  # type: ignore[arg-type]
        finally:
            if call[4] == "lose":
                other.commit([Delete("sums/one")])

    other = FirestoreDocuments(distant._database.split("/")[1])
    proxy.order("Commit", "lose")
    proxy._forward = removed  # type: ignore[method-assign, assignment]
    told = distant.commit_counted([Create("marks/a", {}), Add("sums/one", {"n": 5})])
    other.close()
    assert told == {"sums/one": {}}
