"""The reconciler adds up what somebody has, and keeps nobody waiting who has less."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.documents import MemoryDocuments, Update
from shared.events.outbox import MemoryPublisher
from shared.media.objects import MemoryObjects
from shared.media.reconcile import References, Surroundings, Usages
from shared.media.store import MediaStore
from shared.reconcile import Finding, Reconciler
from tests.fixtures.stores import WatchedDocuments
from tests.media.world import BUCKETS, NOON, PHOTO, MediaWorld

# Owners in the order in which they are looked at; the first has more than two queries give.
LARGE, SMALL, LAST = "a" * 20, "b" * 20, "c" * 20


class Slow:
    """Every query takes `seconds` by the clock of the reconciler's steps."""

    def __init__(self, documents: MemoryDocuments, seconds: float) -> None:
        self.now = NOON
        self._each = timedelta(seconds=seconds)
        self.around = Surroundings(
            WatchedDocuments(documents, self._took),
            MemoryObjects(),
            BUCKETS,
            MemoryPublisher(),
            lambda: self.now,
        )

    def _took(self, name: str, _: int) -> None:
        if name == "query":
            self.now += self._each


@pytest.fixture(scope="module")
def world() -> MediaWorld:
    world = MediaWorld(MemoryDocuments())
    for _ in range(601):
        world.announce(b"x", owner=LARGE)
    for owner in (SMALL, LAST):
        world.announce(b"x", owner=owner)
    return world


@pytest.fixture
def wrong(world: MediaWorld) -> MemoryDocuments:
    documents = world.documents
    assert isinstance(documents, MemoryDocuments)
    documents.commit([Update(f"usage/{owner}", {"usedBytes": 7}) for owner in (LARGE, SMALL, LAST)])
    return documents


def owners(found: list[Finding]) -> list[str]:
    assert all(one.kind == "wrong-usage" and one.repaired for one in found)
    return [one.subject for one in found]


def test_who_has_too_much_to_be_added_up_in_time_is_passed_by(wrong: MemoryDocuments) -> None:
    slow = Slow(wrong, 25)
    page = Usages(slow.around).page("", repair=True)
    assert (list(page.findings), page.last) == ([], LARGE)
    assert slow.now - NOON < timedelta(seconds=101)
    assert owners(Reconciler(wrong, [Usages(Slow(wrong, 25).around)]).run()) == [SMALL, LAST]
    assert MediaStore(wrong).usage(LARGE).used == 7
    assert owners(Reconciler(wrong, [Usages(Slow(wrong, 1).around)]).run()) == [LARGE]
    assert MediaStore(wrong).usage(LARGE).used == 0


def test_a_page_ends_when_its_time_is_over_and_the_next_goes_on(wrong: MemoryDocuments) -> None:
    usages = Usages(Slow(wrong, 15).around)
    found, after, pages = [], "", 0
    while pages == 0 or after:
        page = usages.page(after, repair=True)
        found += page.findings
        after, pages = page.last, pages + 1
    assert owners(found) == [LARGE, SMALL, LAST]
    assert pages == 2


def test_counting_who_stands_on_the_same_bytes_ends_its_page_too() -> None:
    documents = MemoryDocuments()
    world = MediaWorld(documents)
    for number in range(3):
        world.upload(PHOTO + bytes(number))
    blobs = sorted(doc.id for doc in documents.query("blobs"))
    documents.commit([Update(f"blobs/{blob}", {"references": 5}) for blob in blobs])
    references = References(Slow(documents, 31).around)
    seen, after = [], ""
    for _ in blobs:
        page = references.page(after, repair=True)
        seen.append([one.subject for one in page.findings])
        after = page.last
    assert seen == [[blob] for blob in blobs]
    assert after == ""
