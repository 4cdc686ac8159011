"""What is left of a request's time, wherever it is asked for."""

from __future__ import annotations

import threading

import pytest

from shared import deadline
from shared.deadline import budget, left
from shared.grpc_api import Tries


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(deadline.time, "monotonic", lambda: self.now)


def test_a_call_takes_its_own_bound_or_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    assert left(3) == 3
    with budget(10):
        assert left(3) == 3
        clock.now += 8
        assert left(3) == pytest.approx(2)
        clock.now += 8
        assert left(3) == 0
    assert left(3) == 3


def test_a_budget_within_another_shortens_and_never_lengthens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Clock(monkeypatch)
    with budget(5):
        with budget(60):
            assert left(100) == pytest.approx(5)
        with budget(1):
            assert left(100) == pytest.approx(1)
        assert left(100) == pytest.approx(5)


def test_a_budget_ends_with_its_request_even_when_that_fails() -> None:
    with pytest.raises(ValueError), budget(1):
        raise ValueError
    assert left(7) == 7


def test_requests_on_other_threads_have_budgets_of_their_own() -> None:
    seen: list[float] = []
    with budget(1):
        thread = threading.Thread(target=lambda: seen.append(left(9)))
        thread.start()
        thread.join()
    assert seen == [9]


def test_no_try_is_made_when_the_time_is_over_and_it_says_nothing_of_the_dependency(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    with budget(1):
        clock.now += 1
        tries = Tries(2.5, 1.0)
        assert list(tries) == []
        assert not tries.silent
