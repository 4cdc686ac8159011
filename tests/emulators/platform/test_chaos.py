"""The chaos switch decides by its seed alone."""

from __future__ import annotations

import random
from typing import Any

import pytest

from emulators.platform.chaos import Chaos, InvalidChaos, Trouble, parse

MESSAGES = [(str(number), attempt) for number in range(500) for attempt in (1, 2, 3)]
RATES = {"duplicate": 0.3, "reorder": 0.2, "delay": 0.2, "lostAck": 0.1, "failBefore": 0.1}


def decisions(chaos: Chaos, order: list[tuple[str, int]]) -> dict[tuple[str, int], Trouble]:
    return {(message, n): chaos.trouble("activity", message, n) for message, n in order}


def test_a_seed_decides_the_same_in_any_order() -> None:
    chaos = parse({"seed": 7, **RATES})
    shuffled = MESSAGES.copy()
    random.Random(1).shuffle(shuffled)
    assert decisions(chaos, MESSAGES) == decisions(parse({"seed": 7, **RATES}), shuffled)


def test_another_seed_and_another_subscription_decide_otherwise() -> None:
    first, second = parse({"seed": 7, **RATES}), parse({"seed": 8, **RATES})
    assert decisions(first, MESSAGES) != decisions(second, MESSAGES)
    ours = [first.trouble("a", message, n) for message, n in MESSAGES]
    theirs = [first.trouble("b", message, n) for message, n in MESSAGES]
    assert ours != theirs


def test_each_kind_strikes_at_its_rate_and_apart_from_the_others() -> None:
    found = decisions(parse({"seed": 1, **RATES}), MESSAGES).values()
    struck = {
        "duplicate": sum(one.duplicate for one in found),
        "reorder": sum(one.reorder for one in found),
        "delay": sum(one.delay > 0 for one in found),
        "lostAck": sum(one.lost_ack for one in found),
        "failBefore": sum(one.fail_before for one in found),
    }
    for kind, rate in RATES.items():
        # Five standard deviations of 1,500 throws.
        assert abs(struck[kind] / len(MESSAGES) - rate) < 0.06, kind
    assert any(one.duplicate and not one.reorder for one in found)
    assert any(one.reorder and not one.duplicate for one in found)


def test_rates_of_nought_and_one_are_never_and_always() -> None:
    assert set(decisions(Chaos(), MESSAGES).values()) == {Trouble()}
    always = decisions(parse({"lostAck": 1, "delay": 1, "delaySeconds": 0.5}), MESSAGES)
    assert set(always.values()) == {Trouble(lost_ack=True, delay=0.5)}


@pytest.mark.parametrize(
    "body",
    [
        {"duplicates": 0.1},
        {"duplicate": -0.1},
        {"duplicate": 1.1},
        {"duplicate": True},
        {"duplicate": "0.1"},
        {"duplicate": None},
        {"duplicate": float("nan")},
        {"seed": 1.5},
        {"seed": True},
        {"delaySeconds": 3600},
        {"delay_seconds": 1},
    ],
)
def test_what_is_unknown_or_wrong_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(InvalidChaos):
        parse(body)
