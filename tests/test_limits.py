"""Rate limits: exactly the limit passes, across processes, and a flood costs nothing."""

from __future__ import annotations

import multiprocessing
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from infra.declaration import DECLARATION
from shared.documents import Count, DocumentStore, connection
from shared.documents.firestore import FirestoreDocuments
from shared.errors import TooManyRequests, Unavailable
from shared.limits import Limit, Limiter, Reserved
from tests.fixtures.firestore_proxy import FirestoreProxy, between
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.fixtures.stores import documents as documents
from tests.fixtures.stores import patient as patient

GUESSES = Limit("guesses", most=5, window=600)
ALL = Limit("all", most=8, window=3600)


class Clock:
    def __init__(self) -> None:
        # Ten seconds into a window of either limit.
        self.now = datetime(2026, 11, 25, 12, 0, 10, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def passes(limiter: Limiter, key: str = "ada", limit: Limit = GUESSES) -> bool:
    try:
        limiter.reserve((limit, key))
    except TooManyRequests:
        return False
    return True


@pytest.mark.usefixtures("patient")
def test_the_limit_passes_and_not_one_more(documents: DocumentStore, clock: Clock) -> None:
    limiter = Limiter(documents, clock)
    assert [passes(limiter) for _ in range(8)] == [True] * 5 + [False] * 3
    assert passes(limiter, "bob")
    clock.now += timedelta(seconds=589)
    assert not passes(limiter)
    clock.now += timedelta(seconds=1)
    assert passes(limiter)


def test_who_is_refused_is_told_when_to_come_again(clock: Clock) -> None:
    limiter = Limiter(memory_documents(), clock)
    for _ in range(5):
        limiter.reserve((GUESSES, "ada"))
    with pytest.raises(TooManyRequests) as refused:
        limiter.reserve((GUESSES, "ada"))
    wait = int(refused.value.headers["Retry-After"])
    clock.now += timedelta(seconds=wait)
    assert passes(limiter)
    assert 590 <= wait <= 592


def test_of_several_limits_the_longest_wait_is_told(clock: Clock) -> None:
    limiter = Limiter(memory_documents(), clock)
    for _ in range(8):
        limiter.reserve((GUESSES, secrets.token_hex(4)), (ALL, "ada"))
    with pytest.raises(TooManyRequests) as refused:
        limiter.reserve((GUESSES, "eve"), (ALL, "ada"))
    assert 3580 < int(refused.value.headers["Retry-After"]) <= 3592


@pytest.mark.usefixtures("patient")
def test_of_a_hundred_at_once_over_two_stores_exactly_the_limit_passes(
    documents: DocumentStore, clock: Clock
) -> None:
    two = [Limiter(documents, clock), Limiter(documents, clock)]
    with ThreadPoolExecutor(16) as pool:
        passed = list(pool.map(lambda n: passes(two[n % 2]), range(100)))
    assert passed.count(True) == 5


def _guess(project: str, count: int, start: object) -> int:
    """In a process of its own, which shares nothing but the database."""
    connection._TRY = connection._BUDGET = 60.0
    documents = FirestoreDocuments(project)
    limiter = Limiter(documents, Clock())
    start.wait()  # type: ignore[attr-defined]
    with ThreadPoolExecutor(10) as pool:
        passed = list(pool.map(lambda _: passes(limiter), range(count)))
    documents.close()
    return passed.count(True)


@pytest.mark.emulated
def test_of_a_hundred_at_once_from_two_processes_exactly_the_limit_passes(firestore: str) -> None:
    """Started anew, not forked: gRPC does not survive a fork with its threads running."""
    context = multiprocessing.get_context("spawn")
    project = f"test-{secrets.token_hex(6)}"
    with context.Manager() as manager, context.Pool(2) as pool:
        start = manager.Barrier(2)
        passed = pool.starmap(_guess, [(project, 50, start)] * 2)
    assert sum(passed) == 5


@pytest.mark.usefixtures("patient")
def test_what_is_given_back_can_be_taken_again(documents: DocumentStore, clock: Clock) -> None:
    limiter = Limiter(documents, clock)
    for _ in range(20):
        reserved = limiter.reserve((GUESSES, "ada"), (ALL, "ada"))
        limiter.give_back(reserved, also=[Count("rateLimits/known")])
    assert passes(limiter)
    known = documents.get("rateLimits/known")
    assert known is not None
    assert known.data["count"] == 20


@pytest.mark.usefixtures("patient")
def test_what_is_given_back_late_goes_to_the_window_it_was_taken_from(
    documents: DocumentStore, clock: Clock
) -> None:
    limiter = Limiter(documents, clock)
    old: list[Reserved] = [limiter.reserve((GUESSES, "ada")) for _ in range(5)]
    clock.now += timedelta(seconds=600)
    limiter.give_back(*old[:1])
    assert [passes(limiter) for _ in range(6)] == [True] * 5 + [False]


def test_a_flood_is_refused_without_the_database_until_the_window_ends(clock: Clock) -> None:
    budget = Budget()
    limiter = Limiter(WatchedDocuments(memory_documents(), budget), clock)
    for _ in range(1000):
        passes(limiter)
    assert budget.taken() == {"count": 11}
    assert passes(limiter, "bob")
    clock.now += timedelta(seconds=600)
    assert passes(limiter)


def test_a_flood_under_many_names_does_not_fill_the_memory(clock: Clock) -> None:
    limiter = Limiter(memory_documents(), clock)
    none = Limit("none", most=0, window=600)
    for number in range(1200):
        passes(limiter, f"key{number}", none)
    assert len(limiter._hopeless) == 1000


def test_numbers_are_removed_when_their_window_has_ended(clock: Clock) -> None:
    documents = memory_documents()
    Limiter(documents, clock).reserve((GUESSES, "ada"))
    (number,) = documents.query("rateLimits")
    assert number.data["expireAt"] == datetime(2026, 11, 25, 12, 10, tzinfo=UTC)
    assert ("rateLimits", "expireAt") in DECLARATION.ttl_fields


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as made:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", made.address)
        yield made


@pytest.mark.emulated
def test_lost_replies_let_fewer_through_and_an_outage_nobody(
    proxy: FirestoreProxy, clock: Clock
) -> None:
    documents = FirestoreDocuments(f"test-{secrets.token_hex(6)}")
    limiter = Limiter(documents, clock)
    proxy.order("Commit", "lose", "none", "lose", "none")
    assert [passes(limiter) for _ in range(4)] == [True, True, True, False]
    proxy.stop()
    with pytest.raises(Unavailable):
        limiter.reserve((GUESSES, "bob"))
    proxy.start()
    # The breaker lets nobody through either until its probe was answered.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(Unavailable):
            assert passes(limiter, "bob")
            break
    else:
        pytest.fail("the limiter did not come back")
    documents.close()
