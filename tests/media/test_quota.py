"""Room for uploads, asked for by many at once: never over the limit, and what fits is taken."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.documents import DocumentStore, Set
from shared.errors import OverQuota, ProductError, Unavailable
from shared.ids import derived_id, new_id
from shared.media import quota as quota_module
from shared.media.expiry import UploadExpiry
from shared.media.gallery import Gallery
from shared.media.objects import MemoryObjects
from shared.media.quota import Quota
from shared.media.store import MediaStore
from tests.fixtures import stores
from tests.fixtures.api import ADA, BOB, Links
from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.fixtures.stores import documents as documents
from tests.fixtures.stores import patient as patient
from tests.media.world import BUCKETS, NOON, Crash, FailAt, MediaWorld, outage


@pytest.fixture
def unhurried(patient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred at once take longer on a busy machine than one request may."""
    monkeypatch.setattr(quota_module, "_PATIENCE", 60.0)


def draft(size: int, owner: str = ADA) -> dict[str, Any]:
    return {
        "owner": owner,
        "fileName": "a.jpg",
        "contentType": "image/jpeg",
        "size": size,
        "crc32c": "AAAAAA==",
        "traceparent": None,
        "uploadExpiresAt": NOON + timedelta(minutes=15),
        "createdAt": NOON,
        "updatedAt": NOON,
    }


def take(quota: Quota, size: int, owner: str = ADA) -> bool:
    try:
        quota.take(new_id(), draft(size, owner))
    except OverQuota:
        return False
    return True


def expire(documents: DocumentStore) -> None:
    store, late = MediaStore(documents), NOON + timedelta(days=2)
    UploadExpiry(store, MemoryObjects(), BUCKETS.inbox, lambda: late).run()


def taken(documents: DocumentStore, owner: str = ADA) -> int:
    """By the usage, which must be what the media add up to."""
    usage = MediaStore(documents).usage(owner)
    waiting = [
        int(doc.data["size"])
        for doc in documents.query("media", limit=1000)
        if doc.data["owner"] == owner and doc.data["state"] == "pending"
    ]
    assert usage.taken == sum(waiting)
    return usage.taken


def test_the_limit_is_exact(documents: DocumentStore) -> None:
    quota = Quota(MediaStore(documents), 100)
    assert [take(quota, size) for size in (60, 41, 40, 1)] == [True, False, True, False]
    assert taken(documents) == 100
    assert take(quota, 100, BOB)


@pytest.mark.usefixtures("unhurried")
def test_of_a_hundred_announced_at_once_as_many_are_taken_as_fit(documents: DocumentStore) -> None:
    """From two instances, neither of which knows of the other."""
    quotas = [Quota(MediaStore(documents), 1000) for _ in range(2)]
    with ThreadPoolExecutor(100) as threads:
        told = list(threads.map(lambda n: take(quotas[n % 2], 25), range(100)))
    assert sum(told) == 40
    assert taken(documents) == 1000


def test_an_owner_has_so_many_media_however_small_they_are(documents: DocumentStore) -> None:
    quota = Quota(MediaStore(documents), 10**6, most=3)
    assert [take(quota, 1) for _ in range(5)] == [True, True, True, False, False]
    assert taken(documents) == 3
    assert take(quota, 1, BOB)
    usage = quota.view(ADA)
    assert (usage.files, usage.most_files) == (3, 3)


@pytest.mark.usefixtures("unhurried")
def test_of_a_hundred_small_ones_at_once_as_many_are_taken_as_may_be(
    documents: DocumentStore,
) -> None:
    quotas = [Quota(MediaStore(documents), 10**6, most=40) for _ in range(2)]
    with ThreadPoolExecutor(100) as threads:
        told = list(threads.map(lambda n: take(quotas[n % 2], 1), range(100)))
    assert sum(told) == taken(documents) == 40


def test_of_a_batch_only_so_many_are_taken_and_again_the_same(documents: DocumentStore) -> None:
    quota = Quota(MediaStore(documents), 10**6, most=3)
    drafts = {derived_id(str(n)): draft(1) for n in range(5)}
    made = quota.take_exactly(drafts)
    assert list(made) == list(drafts)[:3]
    assert set(quota.take_exactly(drafts)) == set(made)
    assert taken(documents) == 3


def test_a_refused_one_takes_its_place_until_it_is_deleted() -> None:
    """Or whoever only sends what is refused would be kept documents without end."""
    world = MediaWorld(memory_documents())
    refused = [world.upload(b"<p>", "text/plain") for _ in range(2)]
    quota = Quota(world.store, 10**6, most=2)
    assert world.store.usage(ADA).taken == 0
    assert not take(quota, 1)
    Gallery(world.store, Links(), renditions_bucket="renditions").delete(ADA, refused[0])
    assert take(Quota(world.store, 10**6, most=2), 1)


@pytest.mark.proof
@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("seed", range(3))
def test_of_many_sizes_at_once_none_is_refused_that_fits(
    documents: DocumentStore, seed: int
) -> None:
    chance = random.Random(seed)
    sizes = [chance.choice([3, 17, 60, 240]) for _ in range(60)]
    quota = Quota(MediaStore(documents), 1000)
    with ThreadPoolExecutor(30) as threads:
        told = list(threads.map(lambda size: take(quota, size), sizes))
    there = taken(documents)
    assert there == sum(size for size, was_taken in zip(sizes, told, strict=True) if was_taken)
    assert there <= 1000
    # Nothing went away meanwhile, so what fits now has fitted all the time.
    refused = [size for size, was_taken in zip(sizes, told, strict=True) if not was_taken]
    assert all(there + size > 1000 for size in refused)


def test_one_that_fits_waits_for_one_that_takes_its_reservation_back(
    documents: DocumentStore,
) -> None:
    """A big one has reserved what it cannot have when a small one asks."""
    store = MediaStore(documents)
    store.create(new_id(), draft(90))
    in_the_way = new_id()
    store.create(in_the_way, draft(50))
    pauses = 0

    def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 2:
            quota._take_back(in_the_way, NOON)

    quota = Quota(store, 100, clock=lambda: pauses * 0.05, pause=pause)
    assert take(quota, 10)
    assert taken(documents) == 100


def test_a_reservation_that_stands_still_is_believed(documents: DocumentStore) -> None:
    """It is somebody's who will use it, or of a process that died: then it expires."""
    store = MediaStore(documents)
    store.create(new_id(), draft(90))
    waited: list[float] = []
    quota = Quota(store, 100, clock=lambda: sum(waited), pause=waited.append)
    assert not take(quota, 50)
    assert 0.1 <= sum(waited) < 1
    assert taken(documents) == 90


def test_what_is_used_is_believed_at_once() -> None:
    documents = memory_documents()
    store = MediaStore(documents)
    store.create("a" * 20, draft(90))
    medium = store.get("a" * 20)
    assert medium is not None
    documents.commit([stores_used(90)])

    def pause(_: float) -> None:
        raise AssertionError("nothing to wait for")

    budget = Budget()
    quota = Quota(MediaStore(WatchedDocuments(documents, budget)), 100, pause=pause)
    assert not take(quota, 50)
    budget.taken()
    budget.written = 0
    # Whoever goes on trying is refused by one read, and writes nothing.
    assert not take(quota, 50)
    assert budget.taken() == {"get": 1}
    assert budget.written == 0


def stores_used(size: int) -> Any:
    return Set(f"usage/{ADA}", {"owner": ADA, "usedBytes": size, "reservedBytes": 0})


def test_what_room_costs_in_reads_and_writes() -> None:
    budget = Budget()
    quota = Quota(MediaStore(WatchedDocuments(memory_documents(), budget)), 100)
    assert take(quota, 50)
    assert budget.taken() == {"commit": 1}
    quota.take_exactly({derived_id("k"): draft(10)})
    assert budget.taken() == {"get": 1, "commit": 1}
    quota.take_exactly({derived_id("k"): draft(10)})
    assert budget.taken() == {"get": 1}


# Ids that a client can name again


@pytest.mark.usefixtures("unhurried")
def test_the_same_id_again_takes_no_room_again_even_at_once(documents: DocumentStore) -> None:
    quota = Quota(MediaStore(documents), 100)
    ids = [derived_id("a"), derived_id("b")]
    with ThreadPoolExecutor(12) as threads:
        told = list(threads.map(lambda n: quota.take_exactly({ids[n % 2]: draft(50)}), range(12)))
    assert all(len(one) == 1 for one in told)
    assert taken(documents) == 100


@pytest.mark.usefixtures("unhurried")
def test_a_medium_that_a_key_names_is_never_taken_back(documents: DocumentStore) -> None:
    """Everybody who is told of it may keep it, whatever others ask for meanwhile."""
    quota = Quota(MediaStore(documents), 100)
    store = MediaStore(documents)
    told: list[str] = []

    def ask(number: int) -> None:
        if number % 3:
            with suppress(OverQuota):
                quota.take(new_id(), draft(80))
            return
        told.extend(quota.take_exactly({derived_id(str(number % 4)): draft(25)}))

    with ThreadPoolExecutor(24) as threads:
        list(threads.map(ask, range(48)))
    found = store.get_all(list(set(told)))
    assert len(found) == len(set(told))
    assert {medium.state for medium in found} <= {"pending"}
    assert taken(documents) <= 100


def test_of_a_batch_those_are_taken_that_fit_in_their_order(documents: DocumentStore) -> None:
    quota = Quota(MediaStore(documents), 100)
    drafts = {derived_id(str(n)): draft(size) for n, size in enumerate([50, 60, 40, 20, 10])}
    made = quota.take_exactly(drafts)
    assert [int(medium.fields["size"]) for medium in made.values()] == [50, 40, 10]
    again = quota.take_exactly(drafts)
    assert set(again) == set(made)
    assert taken(documents) == 100


def test_an_announcement_that_always_comes_second_ends_in_time() -> None:
    documents = memory_documents()

    def other(name: str, _: int) -> None:
        if name == "commit":
            MediaStore(documents).create(new_id(), draft(1))

    waited: list[float] = []
    quota = Quota(
        MediaStore(WatchedDocuments(documents, other)),
        10**6,
        clock=lambda: sum(waited),
        pause=waited.append,
    )
    with pytest.raises(Unavailable):
        quota.take_exactly({new_id(): draft(10)})
    assert sum(waited) < 5


# Trouble


def test_a_process_that_dies_at_any_call_leaves_room_that_expires() -> None:
    """The limit holds whatever happens, and a day after the URL's time all room is back."""

    def asked(watch: Callable[[str], None]) -> tuple[DocumentStore, list[bool]]:
        documents = memory_documents()
        MediaStore(documents).create(new_id(), draft(60))
        watched = WatchedDocuments(documents, lambda name, _: watch(name))
        told: list[bool] = []
        waited: list[float] = []
        quota = Quota(MediaStore(watched), 100, clock=lambda: sum(waited), pause=waited.append)
        with suppress(Crash, ProductError):
            told.append(take(quota, 50))
        return documents, told

    counted = FailAt(0, Crash())
    _, told = asked(counted)
    assert told == [False]
    assert len(counted.calls) >= 8
    for nth in range(1, len(counted.calls) + 1):
        for fault in (Crash(), outage()):
            documents, told = asked(FailAt(nth, fault))
            assert told in ([], [False])
            assert taken(documents) in (60, 110)
            expire(documents)
            assert taken(documents) == 0


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as proxy:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        yield proxy


@pytest.mark.emulated
@pytest.mark.parametrize("faults", [("lose",), ("refuse", "lose"), ("hold",), ("late",)])
def test_a_lost_reply_reserves_once(proxy: FirestoreProxy, faults: tuple[Fault, ...]) -> None:
    with stores.firestore_documents() as documents:
        quota = Quota(MediaStore(documents), 100)
        for size in (30, 30, 30):
            proxy.order("Commit", *faults)
            assert take(quota, size)
            proxy.settle()
        proxy.order("Commit", *faults)
        assert not take(quota, 30)
        proxy.settle()
        for key in ("a", "b"):
            proxy.order("Commit", *faults)
            assert bool(quota.take_exactly({derived_id(key): draft(10)})) is (key == "a")
            proxy.settle()
        assert taken(documents) == 100


@pytest.mark.emulated
def test_an_outage_in_the_middle_of_many_neither_loses_nor_doubles_room(
    proxy: FirestoreProxy,
) -> None:
    with stores.firestore_documents() as documents:
        quota = Quota(MediaStore(documents), 10**6)
        acknowledged: list[int] = []
        lock = threading.Lock()

        def ask(_: int) -> None:
            with suppress(Unavailable):
                assert take(quota, 7)
                with lock:
                    acknowledged.append(7)

        faults: list[Fault] = ["none", "lose", "none", "refuse", "abort", "hold"]
        proxy.order("Commit", *(faults * 6))
        with ThreadPoolExecutor(6) as threads:
            list(threads.map(ask, range(40)))
        proxy.heal()
        proxy.settle()
        assert taken(documents) >= sum(acknowledged)
