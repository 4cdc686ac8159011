"""A first deployment waits for what is on its way, and for nothing else."""

from __future__ import annotations

import pytest

from infra.retries import wait_before, worth_another_try
from tests.infra.failures import LASTING, SPREADING


@pytest.mark.parametrize("message", SPREADING)
def test_a_create_that_came_too_early_is_tried_again(message: str) -> None:
    assert worth_another_try("create", [message])
    assert not worth_another_try("update", [message])
    assert not worth_another_try("delete", [message])


@pytest.mark.parametrize("message", LASTING)
def test_what_lasts_or_left_something_behind_is_told_at_once(message: str) -> None:
    assert not worth_another_try("create", [message])


def test_only_the_newest_failure_decides() -> None:
    assert not worth_another_try("create", ["Error 409: already exists", SPREADING[0]])


def test_the_waits_grow_and_end() -> None:
    errors: list[str] = []
    waits = []
    while worth_another_try("create", [*errors, SPREADING[0]]):
        errors.append(SPREADING[0])
        waits.append(wait_before(errors))
        assert len(waits) < 50
    # Google says that a metric of one's own may take ten minutes to be known.
    assert sum(waits) > 600
    assert waits == sorted(waits)
    assert waits[0] >= 10
    assert waits[-1] <= 120
    assert not worth_another_try("create", [])
