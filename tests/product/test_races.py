"""Every write meets every other one, at each call that it makes to the outside: between two calls
of the first request the whole second one happens. In the end all is as if they had come one after
the other, in one order or the other: both answers, documents, objects, events.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fixtures.product import Product, Snapshot
from tests.product.operations import OPERATIONS, WRITES, Scene, send

pytestmark = pytest.mark.proof

# Who may come in at all is another matter, and each of these ends in one document.
RACERS = [name for name in WRITES if not name.startswith("POST /api/auth")]
Outcome = tuple[int, int, tuple[str, ...]]


@pytest.fixture(scope="module")
def stage() -> tuple[Scene, Snapshot]:
    scene = Scene(Product())
    # Sessions asked about once are remembered: the check of the second one is no race.
    for name in ("PATCH /api/tasks/{task_id}", "GET /api/media/{media_id}/download"):
        assert send(scene, name).status_code == OPERATIONS[name].status
    return scene, scene.product.snapshot()


class Between:
    """A watch that does `other` at the nth call, once."""

    def __init__(self, nth: int, other: Callable[[], None]) -> None:
        self.left = nth
        self.other = other
        self.count = 0

    def __call__(self, name: str) -> None:
        self.count += 1
        self.left -= 1
        if self.left == 0:
            self.other()


def race(stage: tuple[Scene, Snapshot], first: str, second: str, nth: int) -> tuple[Outcome, int]:
    """The outcome with `second` at the nth call of `first`, 0 is never; and how many there are."""
    scene, before = stage
    scene.product.restore(before, restart=False)
    statuses = [0, 0]

    def other() -> None:
        scene.product.watch = lambda name: None
        statuses[1] = send(scene, second, key="second").status_code

    watch = Between(nth, other)
    scene.product.watch = watch
    statuses[0] = send(scene, first, key="first").status_code
    scene.product.watch = lambda name: None
    if statuses[1] == 0:
        other()
    scene.product.settle()
    state = (*scene.product.state(scene.known), *scene.product.differences())
    return (statuses[0], statuses[1], state), watch.count


def alone(stage: tuple[Scene, Snapshot], name: str) -> tuple[int, tuple[str, ...]]:
    scene, before = stage
    scene.product.restore(before, restart=False)
    status = send(scene, name, key="second").status_code
    scene.product.settle()
    return status, (*scene.product.state(scene.known), *scene.product.differences())


@pytest.mark.parametrize("first", RACERS)
def test_two_at_once_are_one_after_the_other(stage: tuple[Scene, Snapshot], first: str) -> None:
    wrong = []
    for second in RACERS:
        before, count = race(stage, first, second, 0)
        swapped, _ = race(stage, second, first, 0)
        after = (swapped[1], swapped[0], swapped[2])
        for nth in range(2, count):
            seen, _ = race(stage, first, second, nth)
            # Part by part: who was overtaken may be told of what he did, or of what he found.
            fair = all(part in one for part, *one in zip(seen, before, after, strict=True))
            # Or he is asked to try again, and nothing of his was done.
            refused = seen[0] == 409 and seen[1:] == alone(stage, second)
            if not fair and not refused:
                wrong.append((second, nth, seen[:2], before[:2], after[:2]))
    assert wrong == []
