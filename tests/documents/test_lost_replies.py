"""Firestore answers late, twice or not at all, and every write still counts exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from shared.deadline import budget
from shared.documents import (
    Add,
    AlreadyExists,
    Create,
    Delete,
    Document,
    PreconditionFailed,
    Set,
    Update,
    Write,
    connection,
)
from shared.documents import firestore as module
from shared.documents.firestore import FirestoreDocuments
from shared.errors import Unavailable
from tests.fixtures import stores
from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, Method, between

pytestmark = pytest.mark.emulated

# A reading of the nonce may follow the last try, and two busy cores need room: three budgets.
_BOUND = 3 * connection._BUDGET


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as proxy:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        yield proxy


@pytest.fixture
def documents(proxy: FirestoreProxy) -> Iterator[FirestoreDocuments]:
    with stores.firestore_documents() as documents:
        documents.commit([Create("things/old", {"n": 1}), Create("marks/old", {})])
        proxy.calls.clear()
        yield documents


def present(documents: FirestoreDocuments, path: str) -> Document:
    found = documents.get(path)
    assert found is not None
    return found


Writes = Callable[[FirestoreDocuments], list[Write]]

# Every form of commit the product makes, with what it must have done once it was acknowledged.
COMMITS: dict[str, tuple[Writes, dict[str, Any]]] = {
    "create": (lambda _: [Create("things/new", {"n": 1})], {"things/new": 1, "things/old": 1}),
    "set": (lambda _: [Set("things/old", {"n": 7})], {"things/old": 7}),
    "update": (lambda _: [Update("things/old", {"n": 7})], {"things/old": 7}),
    "guarded update": (
        lambda d: [Update("things/old", {"n": 7}, version=present(d, "things/old").version)],
        {"things/old": 7},
    ),
    "count up": (
        lambda _: [Create("marks/new", {"n": 0}), Update("things/old", increment={"n": 1})],
        {"things/old": 2, "marks/new": 0},
    ),
    "add": (
        lambda _: [Create("marks/new", {"n": 0}), Add("things/old", {"n": 1})],
        {"things/old": 2, "marks/new": 0},
    ),
    "add to what is missing": (
        lambda _: [Create("marks/new", {"n": 0}), Add("things/new", {"n": 1})],
        {"things/new": 1, "marks/new": 0},
    ),
    "count down": (
        lambda d: [
            Delete("marks/old", version=present(d, "marks/old").version),
            Update("things/old", increment={"n": -1}),
        ],
        {"things/old": 0, "marks/old": None},
    ),
    "change with event": (
        lambda d: [
            Update("things/old", {"n": 7}, version=present(d, "things/old").version),
            Create("outbox/event", {"n": 0}),
        ],
        {"things/old": 7, "outbox/event": 0},
    ),
    "delete": (lambda _: [Delete("things/old")], {"things/old": None}),
    "guarded delete": (
        lambda d: [
            Delete("things/old", version=present(d, "things/old").version),
            Delete("marks/old"),
        ],
        {"things/old": None, "marks/old": None},
    ),
}

FAULTS: list[tuple[Fault, ...]] = [
    ("refuse",),
    ("lose",),
    ("abort",),
    ("lose", "refuse"),
    ("refuse", "lose"),
    ("lose", "lose"),
    ("hold",),
    ("late",),
]


def state(documents: FirestoreDocuments, paths: dict[str, Any]) -> dict[str, Any]:
    found = documents.get_all(paths)
    return {path: found[path].data.get("n") if path in found else None for path in paths}


@pytest.mark.parametrize("faults", FAULTS, ids="-".join)
@pytest.mark.parametrize("name", COMMITS)
def test_an_acknowledged_commit_happened_exactly_once(
    documents: FirestoreDocuments, proxy: FirestoreProxy, name: str, faults: tuple[Fault, ...]
) -> None:
    make, expected = COMMITS[name]
    writes = make(documents)
    proxy.order("Commit", *faults)
    commit_id = documents.commit(writes)
    assert proxy.calls.count("Commit") > 1
    # A first try that was late arrives now, after the acknowledgement.
    proxy.settle()
    assert state(documents, expected) == expected
    written = documents.get_all(write.path for write in writes)
    assert {doc.commit_id for doc in written.values()} <= {commit_id}


@pytest.mark.parametrize("fault", ["none", "refuse", "lose", "abort", "hold"])
def test_a_real_conflict_stays_one(
    documents: FirestoreDocuments, proxy: FirestoreProxy, fault: Fault
) -> None:
    stale = present(documents, "things/old").version
    documents.commit([Update("things/old", {"n": 5})])
    for writes, error in (
        ([Create("things/old", {"n": 9})], AlreadyExists),
        ([Update("things/old", {"n": 9}, version=stale)], PreconditionFailed),
        ([Delete("things/old", version=stale)], PreconditionFailed),
        ([Update("things/none", {"n": 9}), Create("outbox/event", {})], PreconditionFailed),
        (
            [Create("marks/old", {}), Update("things/old", increment={"n": 1})],
            AlreadyExists,
        ),
    ):
        proxy.order("Commit", fault)
        with pytest.raises(error):
            documents.commit(writes)  # type: ignore[arg-type]
    assert present(documents, "things/old").data["n"] == 5
    assert documents.get("outbox/event") is None


def test_a_commit_that_another_wrote_over_after_its_lost_reply_is_no_success(
    documents: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    """What remains is told as a conflict, never as an acknowledgement of a state that is gone."""
    version = present(documents, "things/old").version
    proxy.order("Commit", "lose", "none")
    other = FirestoreDocuments(documents._database.split("/")[1])
    forward = proxy._forward

    def overtaken(*call: Any) -> Any:
        try:
            return forward(*call)
        finally:
            if call[4] == "lose":
                other.commit([Set("things/old", {"n": 9})])

    proxy._forward = overtaken  # type: ignore[method-assign]
    with pytest.raises(PreconditionFailed):
        documents.commit([Update("things/old", {"n": 7}, version=version)])
    other.close()
    assert present(documents, "things/old").data["n"] == 9


@pytest.mark.parametrize("fault", ["refuse", "lose", "hold", "abort"])
def test_a_read_is_asked_again(
    documents: FirestoreDocuments, proxy: FirestoreProxy, fault: Fault
) -> None:
    proxy.order("BatchGetDocuments", fault)
    assert present(documents, "things/old").data["n"] == 1
    proxy.order("RunQuery", fault)
    assert [doc.id for doc in documents.query("things")] == ["old"]


def calls(documents: FirestoreDocuments) -> list[Callable[[], object]]:
    return [
        lambda: documents.get("things/old"),
        lambda: documents.query("things"),
        lambda: documents.commit([Create("things/lost", {})]),
    ]


@pytest.mark.parametrize("fault", ["refuse", "hold"])
def test_a_store_that_never_answers_is_unavailable_within_its_budget(
    documents: FirestoreDocuments, proxy: FirestoreProxy, fault: Fault
) -> None:
    methods: tuple[Method, ...] = ("BatchGetDocuments", "RunQuery", "Commit")
    for call in calls(documents):
        before = len(proxy.calls)
        for method in methods:
            proxy.order(method, *[fault] * 50)
        started = time.monotonic()
        with pytest.raises(Unavailable):
            call()
        assert time.monotonic() - started < _BOUND
        # Tries follow at growing distances; a store in trouble is not hammered.
        assert len(proxy.calls) - before < 12
        proxy.heal()
        stores.await_recovery(documents)


def test_an_outage_is_told_at_once_after_the_first_call_and_nobody_asks_but_the_probe(
    documents: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    for method in ("Commit", "RunQuery", "BatchGetDocuments"):
        proxy.order(method, *["refuse"] * 500)  # type: ignore[arg-type]
    first, *others = calls(documents)
    with pytest.raises(Unavailable):
        first()
    for call in others * 100:
        with pytest.raises(Unavailable):
            call()
    assert set(proxy.calls[1:]) == {"BatchGetDocuments"}
    proxy.heal()
    stores.await_recovery(documents)


def test_a_busy_document_is_no_outage(documents: FirestoreDocuments, proxy: FirestoreProxy) -> None:
    proxy.order("Commit", *["abort"] * 50)  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        documents.commit([Create("things/lost", {})])
    assert present(documents, "things/old")


def test_a_request_without_time_left_asks_nobody_and_opens_nothing(
    documents: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    before = len(proxy.calls)
    with budget(0), pytest.raises(Unavailable):
        documents.get("things/old")
    assert len(proxy.calls) == before
    assert present(documents, "things/old")


def test_a_store_that_is_gone_is_unavailable_and_served_again_when_it_is_back(
    documents: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    for tried in (calls(documents), calls(documents)[:1]):
        proxy.stop()
        for call in tried:
            started = time.monotonic()
            with pytest.raises(Unavailable):
                call()
            assert time.monotonic() - started < _BOUND
        proxy.start()
        stores.await_recovery(documents)
        assert documents.get("things/lost") is None


def test_an_outage_in_the_middle_of_many_writers_loses_and_doubles_nothing(
    documents: FirestoreDocuments, proxy: FirestoreProxy
) -> None:
    acknowledged: list[int] = []
    lost: list[int] = []

    def write(first: int) -> None:
        for mark in range(first, first + 20):
            try:
                documents.commit(
                    [Create(f"marks/m{mark}", {}), Update("things/old", increment={"n": 1})]
                )
            except Unavailable:
                lost.append(mark)
            else:
                acknowledged.append(mark)

    proxy.order("Commit", *(["none", "lose", "none", "late", "refuse", "abort"] * 10))  # type: ignore[arg-type]
    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 80, 20)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 30
    while len(acknowledged) < 30 and time.monotonic() < deadline:
        time.sleep(0.005)
    proxy.stop()
    proxy.start()
    for thread in threads:
        thread.join()
    proxy.settle()
    found = {doc.id for doc in documents.query("marks", limit=1000)} - {"old"}
    assert {f"m{mark}" for mark in acknowledged} <= found
    assert found - {f"m{mark}" for mark in acknowledged} <= {f"m{mark}" for mark in lost}
    assert present(documents, "things/old").data["n"] == 1 + len(found)


def test_the_rules_let_nobody_in_without_the_owner_token(firestore: str) -> None:
    """Or a test here could pass against a database that is open to everyone."""
    with grpc.insecure_channel(firestore) as channel:
        call = channel.unary_unary("/google.firestore.v1.Firestore/Commit")
        documents = FirestoreDocuments("test-rules")
        request = module._Commit(database=documents._database)
        request.writes.add().update.name = f"{documents._prefix}things/one"
        with pytest.raises(grpc.RpcError) as refused:
            call(request.SerializeToString(), timeout=10)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
