"""The mirror of signatures: what an instance takes of it is whole, needed and adds detections."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.errors import Unavailable
from shared.media.objects import MemoryObjects
from shared.media.signatures import OLD, Signatures, published

NOON = 1_795_600_000.0


def official(text: str, made: float = NOON) -> bytes:
    """What clamd knows an official file by; its content is not looked at here."""
    head = f"ClamAV-VDB:25 Nov 2026 12-00 +0000:27900:1:90:{'0' * 32}:signature:who:{made:.0f}"
    return head.encode().ljust(512) + text.encode()


class World:
    def __init__(self, folder: Path) -> None:
        self.objects = MemoryObjects()
        self.folder = folder / "signatures"
        self.folder.mkdir()
        self.now = NOON
        self.signatures = Signatures(
            self.objects, "mirror", self.folder, ("main", "daily"), lambda: self.now
        )

    def put(self, **files: bytes) -> None:
        for name, content in files.items():
            self.objects.put("mirror", name.replace("_", "."), content, "x")

    def present(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def mirrored(self) -> dict[str, bytes]:
        return {name: found[1] for (_, name), found in self.objects.objects.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.put(main_cvd=official("main"), daily_cld=official("daily"), own_ndb=b"own")
    return made


def test_the_folder_becomes_what_the_mirror_is(world: World) -> None:
    assert world.signatures.fetch() is True
    assert world.present() == world.mirrored()
    assert world.signatures.fetch() is False
    world.put(daily_cvd=official("newer"))
    world.objects.discard("mirror", "daily.cld")
    assert world.signatures.fetch() is True
    assert world.present() == world.mirrored()
    assert "daily.cld" not in world.present()


@pytest.mark.parametrize("name", ["main.cvd", "daily.cld"])
def test_without_what_is_needed_nothing_is_taken(world: World, name: str) -> None:
    world.objects.discard("mirror", name)
    with pytest.raises(Unavailable, match=name.partition(".")[0]):
        world.signatures.fetch()
    assert world.present() == {}


def test_an_empty_mirror_leaves_what_was_taken_before(world: World) -> None:
    world.signatures.fetch()
    before = world.present()
    world.objects.objects.clear()
    with pytest.raises(Unavailable):
        world.signatures.fetch()
    assert world.present() == before


def test_a_name_is_not_needed_by_its_beginning_only(world: World) -> None:
    world.objects.discard("mirror", "main.cvd")
    world.put(mainly_cvd=official("x"))
    with pytest.raises(Unavailable):
        world.signatures.fetch()


@pytest.mark.parametrize(
    "name",
    [
        "allow.fp",
        "allow.wdb",
        "ignore.ign2",
        "pass.pdb",
        "daily.cfg",
        "rules.yara",
        "daily.cvd.part",
        "../daily.cvd",
        "/etc/daily.cvd",
        "folder/daily.cvd",
        ".cvd",
        "daily.cvd\n",
        "a" * 65 + ".ndb",
    ],
)
def test_what_could_take_a_detection_away_or_leave_the_folder_is_not_taken(
    world: World, name: str
) -> None:
    world.objects.put("mirror", name, b"x", "x")
    world.signatures.fetch()
    assert set(world.present()) == {"main.cvd", "daily.cld", "own.ndb"}
    assert {path.name for path in world.folder.parent.iterdir()} == {"signatures"}


@pytest.mark.parametrize("name", ["main.ndb", "main.hdb", "daily.ldb", "daily.hsb"])
def test_a_file_of_ones_own_stands_for_no_official_one(world: World, name: str) -> None:
    """Else an empty one under its name took everything away that it knows."""
    official_one = next(one for one in world.mirrored() if one.startswith(name.partition(".")[0]))
    world.objects.discard("mirror", official_one)
    world.objects.put("mirror", name, b"Own:0:*:abcd", "x")
    with pytest.raises(Unavailable, match=name.partition(".")[0]):
        world.signatures.fetch()
    assert world.present() == {}


def test_one_of_ones_own_is_needed_by_its_whole_name(world: World) -> None:
    needing = Signatures(world.objects, "mirror", world.folder, ("own.ndb",))
    assert needing.fetch() is True
    world.objects.discard("mirror", "own.ndb")
    world.put(own_cvd=official("x"))
    with pytest.raises(Unavailable, match=r"own\.ndb"):
        needing.fetch()


def test_a_mirror_full_of_something_else_is_none(world: World) -> None:
    for number in range(100):
        world.objects.put("mirror", f"photo-{number}.ndb", b"x", "x")
    with pytest.raises(Unavailable):
        world.signatures.fetch()
    assert world.present() == {}


def test_what_came_damaged_or_went_meanwhile_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.signatures.fetch()
    before = world.present()
    world.put(main_cvd=official("newer"), daily_cld=official("newer"))
    listed = world.objects.listed

    def damaged(*asked: Any) -> list[Any]:
        return [
            replace(one, crc32c="AAAAAA==") if one.version.name == "main.cvd" else one
            for one in listed(*asked)
        ]

    def gone(*asked: Any) -> list[Any]:
        return [
            replace(one, version=replace(one.version, generation=1))
            if one.version.name == "main.cvd"
            else one
            for one in listed(*asked)
        ]

    for trouble in (damaged, gone):
        monkeypatch.setattr(world.objects, "listed", trouble)
        with pytest.raises(Unavailable):
            world.signatures.fetch()
        kept = {name: one for name, one in world.present().items() if ".part" not in name}
        assert kept == before
    monkeypatch.undo()
    assert world.signatures.fetch() is True
    assert world.present() == world.mirrored()


# The job


def test_what_became_of_the_folder_is_published_and_what_did_not_change_stays(
    world: World,
) -> None:
    world.signatures.fetch()
    before = dict(world.objects.objects)
    assert world.signatures.publish() == []
    (world.folder / "daily.cld").unlink()
    (world.folder / "daily.cvd").write_bytes(official("newer"))
    (world.folder / "bytecode.cvd").write_bytes(official("bytecode"))
    (world.folder / "freshclam.dat").write_bytes(b"state")
    (world.folder / "daily.cvd.part").write_bytes(b"half")
    assert world.signatures.publish() == ["bytecode.cvd", "daily.cvd", "daily.cld"]
    assert set(world.mirrored()) == {"main.cvd", "daily.cvd", "bytecode.cvd", "own.ndb"}
    for name in ("main.cvd", "own.ndb"):
        assert world.objects.objects["mirror", name] == before["mirror", name]


def test_a_file_of_the_same_size_is_told_by_its_content(world: World) -> None:
    world.signatures.fetch()
    (world.folder / "daily.cld").write_bytes(official("dailY"))
    assert world.signatures.publish() == ["daily.cld"]
    assert world.mirrored()["daily.cld"] == official("dailY")


def test_in_between_an_instance_finds_one_file_more_and_never_one_less(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.signatures.fetch()
    (world.folder / "daily.cld").unlink()
    (world.folder / "daily.cvd").write_bytes(official("newer"))
    seen: list[set[str]] = []
    for name in ("replace", "delete"):
        call = getattr(world.objects, name)

        def watched(*given: Any, call: Any = call) -> Any:
            answer = call(*given)
            seen.append({one.partition(".")[0] for one in world.mirrored()})
            return answer

        monkeypatch.setattr(world.objects, name, watched)
    world.signatures.publish()
    assert len(seen) == 2
    assert all({"main", "daily"} <= one for one in seen)


# Their age


def test_signatures_that_grow_old_are_told_of(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put(main_cvd=official("main", NOON - 900 * 86_400))
    world.signatures.fetch()
    world.now = NOON + OLD
    world.signatures.tell_age()
    assert capsys.readouterr().out == "", "the newest counts: main comes once in years"
    world.now += 60
    world.signatures.tell_age()
    line = json.loads(capsys.readouterr().out)
    assert (line["signal"], line["severity"]) == ("signatures.old", "WARNING")
    assert line["seconds"] == OLD + 60


def test_signatures_of_nobody_knows_when_are_old(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.signatures.tell_age()
    (world.folder / "own.ndb").write_bytes(b"own")
    world.signatures.tell_age()
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "moment"),
    [
        (official("x"), NOON),
        (b"", 0),
        (b"own:0:*:abcd", 0),
        (b"ClamAV-VDB:25 Nov 2026", 0),
        (official("x").replace(b"1795600000", b"          "), 0),
        (official("x").replace(b"1795600000", b"-179560000"), 0),
        (official("x").replace(b"ClamAV-VDB", b"ClamAV-XDB"), 0),
    ],
    ids=range(7),
)
def test_when_a_file_was_made_stands_in_its_head(
    content: bytes, moment: float, tmp_path: Path
) -> None:
    path = tmp_path / "daily.cvd"
    path.write_bytes(content)
    assert published(path) == moment
