"""The order by hand: a task stands where it was put, whoever else moves what at the same moment."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Conflict
from shared.ids import new_id
from shared.tasks import positions
from tests.fixtures.api import BOB
from tests.tasks.test_task_races import at_once
from tests.tasks.world import World

PLACES = st.text("0123456789abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=30).filter(
    lambda text: not text.endswith("0")
)


@given(PLACES, PLACES)
def test_between_two_places_there_is_a_third(one: str, other: str) -> None:
    low, high = sorted((one, other))
    if low == high:
        with pytest.raises(Conflict):
            positions.between(low, high)
        return
    place = positions.between(low, high)
    assert low < place < high
    assert not place.endswith("0")
    assert positions.between(None, low) < low
    assert positions.between(high, None) > high


def test_a_gap_takes_hundreds_of_moves_and_then_says_so() -> None:
    low, high, moves = "m1", "m2", 0
    try:
        while moves < 5000:
            high = positions.between(low, high)
            assert low < high
            moves += 1
    except Conflict:
        pass
    assert 500 < moves < 5000


def test_what_is_put_on_top_later_stands_higher_and_at_the_bottom_lower() -> None:
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=n) for n in range(50)]
    moments.append(datetime(5000, 1, 1, tzinfo=UTC))
    tops = [positions.top(moment, new_id()) for moment in moments]
    bottoms = [positions.bottom(moment, new_id()) for moment in moments]
    assert sorted(tops, reverse=True) == tops
    assert sorted(bottoms) == bottoms
    assert max(tops) < min(bottoms)


def order(world: World) -> list[str]:
    return world.ids("sort=position&limit=100")


def test_a_task_is_moved_beside_another_and_to_the_ends(world: World) -> None:
    a, b, c, d = (world.task() for _ in range(4))
    assert order(world) == [d, c, b, a]

    def put(task: str, **place: str) -> list[str]:
        answer = world.api("PUT", f"/{task}/position", place)
        assert answer.status_code == 200
        assert answer.get_json() == world.api.read(f"/{task}")
        return order(world)

    assert put(a, before=c) == [d, a, c, b]
    assert put(a, after=c) == [d, c, a, b]
    assert put(b, before=d) == [b, d, c, a]
    assert put(b, after=a) == [d, c, a, b]
    assert put(c, before=c) == [d, c, a, b]
    assert put(c, after=b) == [d, a, b, c]
    assert put(c, to="first") == [c, d, a, b]
    assert put(c, to="last") == [d, a, b, c]
    assert put(d, before=a) == [d, a, b, c]
    new = world.task()
    assert order(world) == [new, d, a, b, c]


def test_a_place_is_exactly_one_and_beside_an_own_task(world: World) -> None:
    task, bobs = world.task(), world.task(BOB)
    before = order(world)
    for wrong in ({}, {"to": "top"}, {"before": task, "after": task},
                  {"to": "first", "after": task}, {"position": "m"}, {"before": None}):  # fmt: skip
        assert world.api("PUT", f"/{task}/position", wrong).status_code == 422
    for missing in (bobs, new_id(), "..", ""):
        assert world.api("PUT", f"/{task}/position", {"before": missing}).status_code == 404
    stale = world.api("PUT", f"/{task}/position", {"to": "last"}, headers={"If-Match": '"x"'})
    assert stale.status_code == 412
    assert world.api("PATCH", f"/{task}", {"position": "m"}).status_code == 422
    assert order(world) == before


@pytest.mark.parametrize("seed", range(3))
def test_any_moves_leave_the_order_a_list_would_have(world: World, seed: int) -> None:
    dice = random.Random(seed)
    expected = [world.task() for _ in range(6)][::-1]
    for _ in range(40):
        task, other = dice.sample(expected, 2)
        side = dice.choice(("before", "after"))
        world.api("PUT", f"/{task}/position", {side: other})
        expected.remove(task)
        expected.insert(expected.index(other) + (side == "after"), task)
    assert order(world) == expected


def test_many_moves_into_one_gap_at_once_all_land_there(world: World) -> None:
    low, high = world.task(), world.task()
    moving = [world.task() for _ in range(8)]
    calls = [
        lambda one=one: world.api("PUT", f"/{one}/position", {"before": low}).status_code
        for one in moving
    ]
    assert at_once(calls) == [200] * 8
    found = order(world)
    assert found[0] == high
    assert found[-1] == low
    assert set(found[1:-1]) == set(moving)
    places = [world.api.read(f"/{one}")["position"] for one in found]
    assert len(set(places)) == len(places)
