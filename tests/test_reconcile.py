"""A reconciler goes on where it stopped, and a report changes nothing."""

from __future__ import annotations

import pytest

from shared.documents import DocumentStore
from shared.errors import Unavailable
from shared.reconcile import Finding, Page, Reconciler
from tests.fixtures.stores import documents as documents


class Numbers:
    """A step over 0..count-1, three to a page; every number is wrong until it was repaired."""

    def __init__(self, name: str, count: int, mended: list[str]) -> None:
        self.name = name
        self.left = [f"{number}" for number in range(count)]
        self.mended = mended
        self.asked: list[str] = []
        self.broken = False

    def page(self, after: str, *, repair: bool) -> Page:
        if self.broken:
            raise Unavailable
        self.asked.append(after)
        found = [one for one in self.left if one > after][:3]
        last = found[-1] if len(found) == 3 else ""
        if repair:
            self.mended += [f"{self.name}{one}" for one in found]
            self.left = [one for one in self.left if one not in found]
        return Page([Finding("wrong", one, repair) for one in found], last)


class Ticks:
    """A second passes with each look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_a_run_without_haste_looks_at_all_and_a_second_one_finds_nothing(
    documents: DocumentStore,
) -> None:
    mended: list[str] = []
    steps = [Numbers("a", 7, mended), Numbers("b", 2, mended)]
    reconciler = Reconciler(documents, steps)
    assert len(reconciler.run()) == 9
    assert mended == [f"a{n}" for n in range(7)] + ["b0", "b1"]
    assert reconciler.run() == []


def test_runs_whose_time_is_short_end_up_having_looked_at_all(documents: DocumentStore) -> None:
    mended: list[str] = []
    steps = [Numbers("a", 7, mended), Numbers("b", 4, mended)]
    runs = [Reconciler(documents, steps, Ticks()).run(seconds=1) for _ in range(5)]
    assert [len(found) for found in runs] == [3, 3, 1, 3, 1]
    assert steps[0].asked == ["", "2", "5"]
    # And from the beginning again.
    Reconciler(documents, steps, Ticks()).run(seconds=1)
    assert steps[0].asked[-1] == ""


def test_an_outage_in_the_middle_is_where_the_next_run_goes_on(documents: DocumentStore) -> None:
    mended: list[str] = []
    steps = [Numbers("a", 2, mended), Numbers("b", 2, mended)]
    steps[1].broken = True
    with pytest.raises(Unavailable):
        Reconciler(documents, steps).run()
    steps[1].broken = False
    Reconciler(documents, steps).run()
    assert steps[0].asked == [""]
    assert mended == ["a0", "a1", "b0", "b1"]


def test_a_place_in_a_step_that_is_no_more_is_the_beginning(documents: DocumentStore) -> None:
    mended: list[str] = []
    Reconciler(documents, [Numbers("old", 9, mended)], Ticks()).run(seconds=1)
    steps = [Numbers("new", 1, mended)]
    assert len(Reconciler(documents, steps).run()) == 1


def test_a_report_changes_nothing_and_does_not_move_the_place(documents: DocumentStore) -> None:
    mended: list[str] = []
    steps = [Numbers("a", 7, mended)]
    reconciler = Reconciler(documents, steps)
    for _ in range(2):
        assert len(list(reconciler.report())) == 7
    assert mended == []
    assert documents.get("maintenance/reconciler") is None
