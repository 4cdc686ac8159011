"""Keys renew themselves, and nobody who uses his device notices; whoever is cut off is resumed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.identity.claims import AddressClaims
from shared.identity.keys import ANNOUNCED, read_mac_key, read_signing_key
from shared.identity.rotation import (
    KEPT_DISABLED,
    KeyRotation,
    mac_policy,
    make_mac_key,
    make_signing_key,
    signing_policy,
)
from shared.identity.sessions import GRACE, IDLE, LONGEST
from shared.identity.tokens import LIFETIME
from shared.secrets import MemorySecrets, SecretVersion
from tests.identity.test_keys import kid_of, kids
from tests.identity.world import HMAC, SIGNING, Clock, World, at_once, json_of

MONTH, DAY, HOUR = timedelta(days=30), timedelta(days=1), timedelta(hours=1)
READY: Callable[[int], bool] = lambda number: True  # noqa: E731


class Cut(Exception):
    """The process is gone."""


class CutSecrets:
    """Ends the process at call `at`, before it or after it was carried out."""

    def __init__(self, inner: MemorySecrets, at: int = -1, *, after: bool = False) -> None:
        self._inner, self._at, self._after = inner, at, after
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            cut = len(self.calls) - 1 == self._at
            if cut and not self._after:
                raise Cut
            answer = getattr(self._inner, name)(*arguments)
            if cut:
                raise Cut
            return answer

        return call


def made(clock: Clock | None = None) -> tuple[MemorySecrets, Clock]:
    clock = clock or Clock()
    return MemorySecrets(clock), clock


def rotation(secrets: Any, clock: Clock, ready: Callable[[int], bool] = READY) -> KeyRotation:
    return KeyRotation(secrets, [signing_policy(SIGNING), mac_policy(HMAC, ready)], clock)


def states(secrets: MemorySecrets, secret: str = SIGNING) -> list[str]:
    """By number, the first one first."""
    return [one.state for one in reversed(secrets.history(secret))]


def test_the_life_of_a_signing_key() -> None:
    secrets, clock = made()
    run = rotation(secrets, clock).run
    run()
    assert states(secrets) == ["enabled"], "a new project gets its first key"
    clock.now += MONTH - timedelta(seconds=1)
    run()
    assert states(secrets) == ["enabled"]
    clock.advance(seconds=1)
    run()
    assert states(secrets) == ["enabled", "enabled"]
    clock.now += ANNOUNCED + DAY - timedelta(seconds=1)
    run()
    assert states(secrets) == ["enabled", "enabled"]
    clock.advance(seconds=1)
    run()
    assert states(secrets) == ["disabled", "enabled"]
    # The third one has been published and the first one is a month out of use.
    clock.now += KEPT_DISABLED
    run()
    assert states(secrets) == ["destroyed", "enabled", "enabled"]


def test_another_run_changes_nothing() -> None:
    secrets, clock = made()
    for _ in range(60):
        rotation(secrets, clock).run()
        before = secrets.history(SIGNING), secrets.history(HMAC)
        rotation(secrets, clock).run()
        assert (secrets.history(SIGNING), secrets.history(HMAC)) == before
        clock.now += DAY


def test_eight_runs_at_once_make_one_rotation() -> None:
    secrets, clock = made()
    rotation(secrets, clock).run()
    clock.now += MONTH
    at_once(8, lambda _: rotation(secrets, clock).run())
    assert states(secrets)[:2] == ["enabled", "enabled"]
    assert set(states(secrets)[2:]) <= {"destroyed"}


def test_whoever_comes_second_takes_his_version_back() -> None:
    secrets, clock = made()
    rotation(secrets, clock).run()
    clock.now += MONTH
    seen = secrets.history(SIGNING)
    policy = signing_policy(SIGNING)
    assert rotation(secrets, clock).publish(policy, seen)
    assert rotation(secrets, clock).publish(policy, seen) is None
    assert states(secrets) == ["enabled", "enabled", "destroyed"]
    # A number that was taken back is not taken for a rotation, nor given out again.
    clock.now += MONTH
    rotation(secrets, clock).run()
    assert states(secrets) == ["disabled", "enabled", "destroyed", "enabled"]


def moments() -> list[tuple[int, bool]]:
    return [(call, after) for call in range(6) for after in (False, True)]


@pytest.mark.parametrize(("call", "after"), moments())
@pytest.mark.parametrize("days", [0, 30, 31, 62, 91, 99])
def test_a_run_that_was_cut_off_is_finished_by_the_next(days: int, call: int, after: bool) -> None:
    def until(clock: Clock) -> MemorySecrets:
        secrets = MemorySecrets(clock)
        for _ in range(days):
            rotation(secrets, clock).run()
            clock.now += DAY
        return secrets

    golden, clock = until(Clock()), Clock()
    rotation(golden, Clock(clock.now + days * DAY)).run()
    secrets = until(clock)
    try:
        rotation(CutSecrets(secrets, call, after=after), clock).run()
    except Cut:
        rotation(secrets, clock).run()
    for secret in (SIGNING, HMAC):
        assert states(secrets, secret) == states(golden, secret)


def test_the_second_of_two_cut_off_before_he_took_his_back_does_no_harm() -> None:
    world = at_work()
    world.clock.now += MONTH
    policy, seen = signing_policy(SIGNING), world.secrets.history(SIGNING)
    rotation(world.secrets, world.clock).publish(policy, seen)
    cut = CutSecrets(world.secrets, 0, after=True)
    with pytest.raises(Cut):
        rotation(cut, world.clock).publish(policy, seen)
    tokens = world.login()
    for _ in range(72):
        world.clock.now += HOUR
        rotation(world.secrets, world.clock).run()
        tokens = renewed(world, tokens)
    assert states(world.secrets) == ["disabled", "disabled", "enabled"]


def at_work() -> World:
    clock = Clock()
    world = World(secrets=MemorySecrets(clock), clock=clock)
    world.signed_in()
    return world


def renewed(world: World, tokens: dict[str, Any]) -> dict[str, Any]:
    answer = world.refresh(tokens["refreshToken"])
    assert answer.status_code == 200, answer.get_data()
    tokens = json_of(answer)
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 200
    return tokens


@pytest.mark.proof
def test_nobody_notices_in_half_a_year_of_rotations(world_of_two: tuple[World, World]) -> None:
    """Two processes, whose caches are of different age; one device in daily use."""
    here, there = world_of_two
    clock, seen = here.clock, set()
    tokens = here.login()
    began = since = clock.now
    claims = AddressClaims(here.documents, here.macs, clock, clock.ticks)
    run = rotation(here.secrets, clock, claims.renewed).run
    while clock.now - began < timedelta(days=180):
        run()
        clock.advance(hours=7, minutes=3)
        if clock.now - since > LONGEST - DAY:
            since, tokens = clock.now, here.login()
        tokens = renewed(here, tokens)
        bearer = tokens["accessToken"]
        assert there.call("GET", "/me", bearer=bearer).status_code == 200
        tokens = renewed(there, tokens)
        seen.add(kid_of(bearer))
        assert kid_of(bearer) in kids(here)
    assert len(seen) >= 5
    for secret in (SIGNING, HMAC):
        assert states(here.secrets, secret)[0] == "destroyed"


@pytest.fixture
def world_of_two() -> tuple[World, World]:
    here = at_work()
    there = World(here.documents, here.secrets, here.clock)
    return here, there


def test_a_device_unused_for_almost_a_week_outlives_the_key_of_its_token() -> None:
    world = at_work()
    world.clock.now += timedelta(days=90)
    # On the last occasion before the new key signs everywhere.
    rotation(world.secrets, world.clock).run()
    world.clock.now += ANNOUNCED - timedelta(seconds=1)
    tokens = world.login()
    for _ in range(int((IDLE - HOUR) / HOUR)):
        world.clock.now += HOUR
        rotation(world.secrets, world.clock).run()
    renewed(world, tokens)


def test_a_key_goes_only_when_nothing_else_needs_it() -> None:
    secrets, clock = made()
    asked: list[int] = []

    def ready(number: int) -> bool:
        asked.append(number)
        return len(asked) > 2

    run = rotation(secrets, clock, ready).run
    run()
    clock.now += timedelta(days=90)
    run()
    clock.now += ANNOUNCED + IDLE
    run()
    assert asked == [], "not before everything it signed has expired"
    clock.now += DAY
    for _ in range(2):
        run()
        assert states(secrets, HMAC) == ["enabled", "enabled"]
    run()
    assert states(secrets, HMAC) == ["disabled", "enabled"]
    run()
    assert asked == [2, 2, 2]


def test_a_stolen_key_disabled_by_hand_is_replaced_by_the_next_run() -> None:
    world = at_work()
    tokens = world.login()
    world.secrets.disable(world.secrets.history(SIGNING)[0])
    rotation(world.secrets, world.clock).run()
    assert states(world.secrets) == ["disabled", "enabled"]
    world.clock.advance(minutes=6)
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
    renewed(world, tokens)


def test_secrets_out_of_reach_are_told_and_nothing_is_half_done() -> None:
    secrets, clock = made()
    secrets.broken = True
    with pytest.raises(Unavailable):
        rotation(secrets, clock).run()
    secrets.broken = False
    rotation(secrets, clock).run()
    assert states(secrets) == ["enabled"]


def test_the_times_leave_room_for_whoever_is_late() -> None:
    waited = signing_policy(SIGNING).idle
    assert waited > LIFETIME + ANNOUNCED
    assert mac_policy(HMAC, READY).idle > IDLE + GRACE
    assert signing_policy(SIGNING).every > ANNOUNCED + waited


def test_what_is_made_is_what_is_read() -> None:
    assert read_signing_key(make_signing_key()).kid != read_signing_key(make_signing_key()).kid
    assert read_mac_key(make_mac_key()) != read_mac_key(make_mac_key())


def test_a_version_of_the_future_signs_nothing_yet() -> None:
    """A clock of ours that runs behind the service's only waits longer."""
    secrets, clock = made()
    rotation(secrets, clock).run()
    secrets.add(SIGNING, b"x", clock.now + HOUR)
    clock.now += ANNOUNCED
    signing = rotation(secrets, clock).signing(secrets.history(SIGNING))
    assert isinstance(signing, SecretVersion)
    assert signing.number == 1
