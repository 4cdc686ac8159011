"""What is guessed first is nobody's password; what is merely simple may be."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.identity import blocklist
from shared.identity.blocklist import Blocklist
from tests.identity.world import World, json_of

LIST = blocklist._FILE.read_text().splitlines()


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PassWord",
        "iloveyou1",
        "12345678901234567890",
        "manchesterunited",
        "aaaaaaaaaaaaaaaa",
        "correct correct ",
        "abcabcabcabcabc",
        "abcdefghijklmnop",
        "zyxwvutsrqponmlk",
        "qwertyuiopasdfgh",
        "lkjhgfdsapoiuytr",
        "0987654321098765",
        "ada.lovelace@example.org",
        "Ada.Lovelace",
        "ada.lovelaceada.lovelace",
        "snaptask",
    ],
)
def test_a_first_guess_is_known(password: str) -> None:
    assert Blocklist().holds(password, "Ada.Lovelace@example.org")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "a simple sentence",
        "only small letters",
        "password\n12345678",
        "passwor",
        "assword1\npassword",
        "abcdefgh ijklmnop",
        "aaaaaaaaaaaaaaab",
        "☃ ünï çødé ☃",
        "x\0y\0z and more",
    ],
)
def test_what_is_merely_simple_is_not_refused(password: str) -> None:
    assert not Blocklist().holds(password, "ada@example.org")


def test_every_line_of_the_list_is_known_and_could_be_asked_for() -> None:
    known = Blocklist()
    assert len(LIST) > 20_000
    assert sorted(set(LIST)) == LIST
    for line in LIST:
        assert len(line) >= 8
        assert line == line.casefold()
    for line in LIST[::97]:
        assert known.holds(line, "ada@example.org")


def test_the_list_takes_the_memory_of_its_text_only() -> None:
    known = Blocklist()
    tracemalloc.start()
    known.holds("something that is not in it", "ada@example.org")
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken < 300_000


def test_threads_that_ask_first_at_once_are_answered_alike() -> None:
    known = Blocklist()
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: known.holds("password", "a@example.org"), range(64)))
    assert answers == {True}


@pytest.mark.parametrize("password", ["password", "ada@example.org", "abababababababab"])
def test_nobody_registers_with_a_first_guess(password: str) -> None:
    world = World()
    answer = world.register(password=password)
    assert answer.status_code == 422
    (error,) = json_of(answer)["errors"]
    assert error["pointer"] == "/password"
    assert "guess" in error["message"]
    assert world.documents.query("users") == []
    assert f'"{password}"' not in answer.get_data(as_text=True)
