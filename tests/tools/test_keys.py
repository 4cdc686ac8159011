"""Keys by hand: what is asked for is done, and what would lock everybody out is not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from shared.identity.keys import ANNOUNCED
from shared.identity.sessions import IDLE
from shared.secrets import MemorySecrets
from tests.identity.world import Clock, pem
from tools.keys import Keys, Refused, main

SIGNING, HMAC = (f"projects/p/secrets/{name}" for name in ("signing-key", "token-hmac"))


class Desk:
    def __init__(self) -> None:
        self.clock = Clock()
        self.secrets = MemorySecrets(self.clock)
        self.secrets.add(SIGNING, pem())
        self.secrets.add(HMAC, b"k" * 32)
        self.keys = Keys(self.secrets, "p", self.clock)
        self.clock.now += timedelta(days=3)

    def states(self, secret: str = SIGNING) -> list[str]:
        return [one.state for one in self.secrets.history(secret)]


def test_the_list_says_which_version_signs() -> None:
    desk = Desk()
    list(desk.keys.rotate("signing-key"))
    assert [line.split() for line in desk.keys.list()] == [
        ["signing-key", "2", "enabled", "0", "d"],
        ["signing-key", "1", "enabled", "3", "d", "signs"],
        ["token-hmac", "1", "enabled", "3", "d", "signs"],
    ]
    desk.clock.now += ANNOUNCED
    assert next(iter(desk.keys.list())).endswith("signs")


@pytest.mark.parametrize("force", [False, True])
def test_a_key_that_got_out_is_replaced_and_retired(force: bool) -> None:
    desk = Desk()
    list(desk.keys.rotate("signing-key"))
    desk.clock.now += ANNOUNCED if force else ANNOUNCED + timedelta(days=1)
    list(desk.keys.retire("signing-key", 1, force=force))
    assert desk.states() == ["enabled", "disabled"]


def test_the_key_that_signs_is_not_retired_by_mistake() -> None:
    desk = Desk()
    with pytest.raises(Refused, match="nobody could sign in"):
        list(desk.keys.retire("signing-key", 1, force=False))
    list(desk.keys.rotate("signing-key"))
    desk.clock.now += ANNOUNCED - timedelta(seconds=1)
    with pytest.raises(Refused, match="No newer version signs yet"):
        list(desk.keys.retire("signing-key", 1, force=False))
    desk.clock.now += timedelta(days=40)
    with pytest.raises(Refused):
        list(desk.keys.retire("signing-key", 2, force=False))
    assert desk.states() == ["enabled", "enabled"]


def test_a_key_in_use_stays_unless_forced() -> None:
    desk = Desk()
    for name in ("signing-key", "token-hmac"):
        list(desk.keys.rotate(name))
    desk.clock.now += ANNOUNCED
    for name in ("signing-key", "token-hmac"):
        with pytest.raises(Refused, match="still in use"):
            list(desk.keys.retire(name, 1, force=False))
    # How many addresses only it can find, nobody here can tell: that is the schedule's to do.
    desk.clock.now += IDLE + timedelta(days=60)
    with pytest.raises(Refused, match="rotate-keys"):
        list(desk.keys.retire("token-hmac", 1, force=False))
    list(desk.keys.retire("token-hmac", 1, force=True))
    assert desk.states(HMAC) == ["enabled", "disabled"]


@pytest.mark.parametrize("number", [0, 2, -1])
def test_a_version_that_is_not_there_is_not_retired(number: int) -> None:
    with pytest.raises(Refused, match="no enabled version"):
        list(Desk().keys.retire("signing-key", number, force=True))


def test_a_secret_that_somebody_gave_us_is_not_made_anew() -> None:
    desk = Desk()
    given = "projects/p/secrets/smtp-password"
    desk.secrets.add(given, b"theirs")
    with pytest.raises(Refused, match="no secret smtp-password"):
        list(desk.keys.rotate("smtp-password"))
    with pytest.raises(Refused):
        list(desk.keys.retire("smtp-password", 1, force=True))
    assert desk.states(given) == ["enabled"]


def test_an_unknown_name_is_told_the_known_ones() -> None:
    for call in (Desk().keys.rotate("x"), Desk().keys.retire("../x", 1, force=True)):
        with pytest.raises(Refused, match="signing-key, token-hmac"):
            list(call)


def test_without_a_running_cloud_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(tmp_path), "list"]) == 1
    assert "make dev" in capsys.readouterr().err
