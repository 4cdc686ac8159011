"""Keys by hand in a running local cloud; the schedule has its own there."""

from __future__ import annotations

import pytest

from tests.fixtures.stack import Person, Stack

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def keys(stack: Stack, *arguments: str) -> str:
    done = stack.tool("keys", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_key_rotated_by_hand_is_published_and_everybody_stays_signed_in(
    stack: Stack, person: Person
) -> None:
    # The schedule's own run finds nothing to do, and may do what it would have to.
    stack.run_job("rotate-keys")
    assert [line.split()[1] for line in keys(stack, "list").splitlines()] == ["1", "1"]
    assert "signing-key 2 is published" in keys(stack, "rotate", "signing-key")
    listed = [line.split()[:3] for line in keys(stack, "list").splitlines()]
    assert listed[:2] == [["signing-key", "2", "enabled"], ["signing-key", "1", "enabled"]]
    body = {"refreshToken": person.tokens["refreshToken"]}
    assert person.api.post("/auth/refresh", json=body).status_code == 200
    assert person.task()["id"]
