"""A few at a time, some in a queue, and the rest are told to come again."""

from __future__ import annotations

import threading

import pytest

from shared.errors import Unavailable
from shared.identity.passwords import Gate, Passwords
from tests.identity.world import at_once


def test_no_more_than_agreed_are_inside_at_once() -> None:
    gate, lock = Gate(at_once=2, waiting=12, patience=10), threading.Lock()
    meeting = threading.Barrier(2)
    inside, most = 0, 0

    def enter(_: int) -> None:
        nonlocal inside, most
        with gate.entered():
            with lock:
                inside += 1
                most = max(most, inside)
            # Nobody leaves before a second one is in, so that two really are.
            meeting.wait(10)
            with lock:
                inside -= 1

    at_once(14, enter)
    assert (most, inside) == (2, 0)


def test_two_passwords_are_hashed_at_once_and_no_third() -> None:
    passwords = Passwords(memory_kib=8, passes=1)
    passwords._gate._patience = 0.01
    with passwords._gate.entered(), passwords._gate.entered():
        with pytest.raises(Unavailable):
            passwords.hash("x")
        with pytest.raises(Unavailable):
            passwords.verify(None, "x")
    with passwords._gate.entered():
        assert passwords.verify(passwords.hash("x"), "x")


def test_whoever_finds_the_queue_full_is_refused_without_waiting() -> None:
    gate = Gate(at_once=1, waiting=0, patience=60)
    with gate.entered():
        with pytest.raises(Unavailable) as refused, gate.entered():
            pass
        assert refused.value.headers["Retry-After"] == "1"
    with gate.entered():
        pass


def test_whoever_waits_in_vain_leaves_the_queue() -> None:
    gate = Gate(at_once=1, waiting=1, patience=0.01)
    with gate.entered():
        for _ in range(3):
            with pytest.raises(Unavailable), gate.entered():
                pass
    with gate.entered():
        pass


def test_a_failure_inside_gives_the_place_back() -> None:
    gate = Gate(at_once=1, waiting=0, patience=0)
    for _ in range(3):
        with pytest.raises(KeyError), gate.entered():
            raise KeyError
