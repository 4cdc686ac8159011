"""An outage is told at once, probed by one, and over when it is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.breaker import Breaker
from shared.errors import Unavailable

# Seconds after which a test gives up waiting for another thread.
PATIENCE = 10


class Dependency:
    """Answers probes when `up`; `probes` counts them, `most` those at the same time."""

    def __init__(self) -> None:
        self.up = False
        self.probes = 0
        self.now = 0.0
        self.probed = threading.Semaphore(0)
        self._at_once = threading.Semaphore(1)
        self.overlapped = False
        self.hold: threading.Event | None = None

    def probe(self) -> None:
        self.overlapped |= not self._at_once.acquire(blocking=False)
        self.probes += 1
        self.probed.release()
        if self.hold is not None:
            assert self.hold.wait(PATIENCE)
        self._at_once.release()
        if not self.up:
            raise ConnectionError


@contextmanager
def guarded(pause: float = 0.01) -> Iterator[tuple[Breaker, Dependency]]:
    dependency = Dependency()
    breaker = Breaker("It", dependency.probe, pause=pause, clock=lambda: dependency.now)
    try:
        yield breaker, dependency
    finally:
        if dependency.hold:
            dependency.hold.set()
        breaker.close()


def is_refused(breaker: Breaker) -> bool:
    try:
        breaker.check()
    except Unavailable:
        return True
    return False


def test_after_one_silent_call_the_next_are_refused_with_a_hint_when_to_come_back() -> None:
    with guarded() as (breaker, _):
        breaker.fail(breaker.check())
        with pytest.raises(Unavailable) as refused:
            breaker.check()
        assert refused.value.headers["Retry-After"] == "1"


def test_silence_of_one_call_is_no_outage_when_another_was_answered_meanwhile() -> None:
    with guarded() as (breaker, dependency):
        began = breaker.check()
        dependency.now += 1
        breaker.succeed()
        dependency.now += 1
        breaker.fail(began)
        assert not is_refused(breaker)
        assert dependency.probes == 0


def test_it_closes_by_itself_once_the_dependency_answers() -> None:
    with guarded() as (breaker, dependency):
        breaker.fail(breaker.check())
        assert dependency.probed.acquire(timeout=PATIENCE)
        assert is_refused(breaker)
        dependency.up = True
        while is_refused(breaker):
            assert dependency.probed.acquire(timeout=PATIENCE)
        assert not is_refused(breaker)


def test_many_failures_at_once_make_one_prober() -> None:
    with guarded() as (breaker, dependency):
        began = breaker.check()
        threads = [threading.Thread(target=breaker.fail, args=(began,)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _ in range(10):
            assert dependency.probed.acquire(timeout=PATIENCE)
        assert not dependency.overlapped


def test_a_slow_probe_holds_nobody_up() -> None:
    with guarded() as (breaker, dependency):
        dependency.hold = threading.Event()
        breaker.fail(breaker.check())
        assert dependency.probed.acquire(timeout=PATIENCE)
        # The probe stands; were a lock held, these would stand too.
        assert is_refused(breaker)
        breaker.succeed()
        assert not is_refused(breaker)


def test_without_fresh_evidence_one_call_goes_through_and_only_one() -> None:
    """As on an instance that got no processor since its last request."""
    with guarded(pause=3600) as (breaker, dependency):
        breaker.fail(breaker.check())
        dependency.now += 11
        assert [is_refused(breaker) for _ in range(3)] == [False, True, True]
        breaker.succeed()
        assert not is_refused(breaker)
        assert dependency.probes == 0


def test_a_second_outage_is_told_and_probed_like_the_first() -> None:
    with guarded() as (breaker, dependency):
        for _ in range(3):
            dependency.up = False
            breaker.fail(breaker.check())
            assert is_refused(breaker)
            dependency.up = True
            while is_refused(breaker):
                assert dependency.probed.acquire(timeout=PATIENCE)


def test_nothing_is_left_running_after_its_end() -> None:
    before = set(threading.enumerate())
    with guarded() as (breaker, dependency):
        breaker.fail(breaker.check())
        assert dependency.probed.acquire(timeout=PATIENCE)
    assert set(threading.enumerate()) <= before
