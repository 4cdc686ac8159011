"""A file is clean only when a scanner has seen all of it and said so."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emulators import scanner as local
from shared.errors import Unavailable
from shared.media.objects import ObjectVersion
from shared.media.outline import Rejected
from shared.media.scan import Clamd, NoScanner, scanner
from shared.media.scan_client import ScanService
from tests.fixtures import pictures
from tests.fixtures.emulated import free_port

EICAR = local.EICAR
MIB = 1024 * 1024
UPLOAD = ObjectVersion("inbox", "uploads/a", 1)
PHOTO = pictures.saved(pictures.photo(400, 300), "JPEG")
Talk = Callable[[socket.socket], None]


# What stands at the other end may be anything


@contextmanager
def answering(talk: Talk) -> Iterator[Clamd]:
    """A scanner whose other end does what `talk` says, once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Clamd("127.0.0.1", server.getsockname()[1], patience=2.0)
        finally:
            thread.join(10)


def taken(connection: socket.socket) -> bytes:
    """All of a scan's request, as clamd reads it; returns the content."""
    wanted = b"zIDSESSION\0zVERSION\0zINSTREAM\0"
    with connection.makefile("rb") as stream:
        assert stream.read(len(wanted)) == wanted
        content = b""
        while size := int.from_bytes(stream.read(4), "big"):
            content += stream.read(size)
    return content


def said(answer: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        taken(connection)
        connection.sendall(answer)

    return talk


def test_a_clean_file_is_clean_by_the_name_of_who_saw_it() -> None:
    with answering(said(b"1: ClamAV 1.4.6/27900/Wed\x002: stream: OK\0")) as clamd:
        assert clamd.scan(UPLOAD, PHOTO) == "ClamAV 1.4.6/27900/Wed"


def test_every_byte_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.media.scan._CHUNK", 1000)
    seen: list[bytes] = []

    def talk(connection: socket.socket) -> None:
        seen.append(taken(connection))
        connection.sendall(b"1: C\x002: stream: OK\0")

    with answering(talk) as clamd:
        clamd.scan(UPLOAD, PHOTO)
    assert seen == [PHOTO]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"1: C\x002: stream: Win.Test.EICAR_HDB-1 FOUND\0", "infected"),
        (b"1: C\x002: stream: OK FOUND\0", "infected"),
        (b"1: C\x002: INSTREAM size limit exceeded. ERROR\0", "scan-limit"),
        (b"1: C\x002: stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", "scan-limit"),
    ],
)
def test_a_bad_word_is_a_rejection(answer: bytes, reason: str) -> None:
    with answering(said(answer)) as clamd, pytest.raises(Rejected, match=reason):
        clamd.scan(UPLOAD, PHOTO)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"1: C\0",
        b"1: C\x002: stream: O",
        b"1: C\x002: stream: OK",
        b"1: C\x002: stream: OK \0",
        b"1: C\x002: stream: ok\0",
        b"1: C\x002: OK\0",
        b"1: C\x002: other: OK\0",
        b"1: C\x003: stream: OK\0",
        b"2: stream: OK\x001: C\0",
        b"stream: OK\0",
        b"1: C\nstream: OK\x002: stream: \0",
        b"1: C\x002: stream: Can't allocate memory ERROR\0",
        b"1: C\x002: COMMAND READ TIMED OUT ERROR\0",
        b"1: C\x002: stream: OK\0" + b"2: stream: Eicar FOUND\0",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\0\0",
        b"\xff" * 100_000,
    ],
)
def test_whatever_else_is_said_is_no_verdict(answer: bytes) -> None:
    with answering(said(answer)) as clamd, pytest.raises(Unavailable):
        clamd.scan(UPLOAD, PHOTO)


def test_an_answer_in_pieces_is_one_answer() -> None:
    def talk(connection: socket.socket) -> None:
        taken(connection)
        for byte in b"1: C\x002: stream: Eicar FOUND\0":
            connection.sendall(bytes([byte]))

    with answering(talk) as clamd, pytest.raises(Rejected, match="infected"):
        clamd.scan(UPLOAD, PHOTO)


def test_a_connection_that_is_cut_while_sending_is_no_verdict() -> None:
    def talk(connection: socket.socket) -> None:
        connection.recv(10)

    with answering(talk) as clamd, pytest.raises(Unavailable):
        clamd.scan(UPLOAD, b"x" * 20 * MIB)


def test_a_scanner_that_never_answers_is_given_up() -> None:
    gave_up = threading.Event()

    def talk(connection: socket.socket) -> None:
        taken(connection)
        gave_up.wait(10)

    with answering(talk) as clamd:
        clamd._patience = 0.2
        with pytest.raises(Unavailable):
            clamd.scan(UPLOAD, PHOTO)
        gave_up.set()


def test_a_scanner_that_reads_nothing_is_given_up() -> None:
    gave_up = threading.Event()
    with answering(lambda _: gave_up.wait(10) and None) as clamd:
        clamd._patience = 0.2
        with pytest.raises(Unavailable):
            clamd.scan(UPLOAD, b"x" * 50 * MIB)
        gave_up.set()


def test_nobody_there_is_an_outage() -> None:
    with pytest.raises(Unavailable):
        Clamd("127.0.0.1", free_port()).scan(UPLOAD, PHOTO)


def test_without_a_scanner_nobody_vouches() -> None:
    assert isinstance(scanner("off"), NoScanner)
    assert scanner("off").scan(UPLOAD, EICAR) is None
    assert isinstance(scanner("10.0.0.3:3310"), Clamd)
    assert isinstance(scanner("https://scanner-abc.a.run.app"), ScanService)


# The real one, and what stands in for it: one suite over both


@pytest.fixture(scope="module", params=["clamd", "stand-in"])
def real(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of what the local cloud would start."""
    if request.param == "clamd" and local.find() is None:
        pytest.skip("no clamd on this machine; `python -m tools.scanner` installs it on Debian")
    port, folder = free_port(), tmp_path_factory.mktemp("scanner")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "stand-in":
            patch.setattr(local, "find", lambda: None)
        command = local.command(port, folder)
    with served(command, port, folder / "log"):
        yield port


@contextmanager
def served(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={**os.environ}
        )
        try:
            deadline = time.monotonic() + 60
            while not pongs(port):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            yield
        finally:
            process.kill()
            process.wait()


def pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(2)
            connection.sendall(b"zPING\0")
            return connection.recv(5) == b"PONG\0"
    except OSError:
        return False


def verdict(port: int, content: bytes) -> str:
    try:
        return Clamd("127.0.0.1", port).scan(UPLOAD, content) or ""
    except Rejected as rejection:
        return rejection.reason


emulated = pytest.mark.emulated


@emulated
@pytest.mark.parametrize("content", [b"", b"hello", PHOTO, b"\0" * 10 * MIB], ids=len)
def test_a_harmless_file_passes(real: int, content: bytes) -> None:
    assert "ClamAV" in verdict(real, content) or "stand-in" in verdict(real, content)


@emulated
@pytest.mark.parametrize(
    "content",
    [EICAR, EICAR + b"\n", PHOTO + EICAR, b"\xff\xd8\xff" + EICAR, b"a" * MIB + EICAR],
    ids=["alone", "a line", "behind a picture", "in a picture's clothes", "far back"],
)
def test_the_test_virus_is_found_wherever_it_is(real: int, content: bytes) -> None:
    assert verdict(real, content) == "infected"


@emulated
def test_a_file_over_the_limit_is_refused_and_never_passed(real: int) -> None:
    assert verdict(real, b"\0" * (local.STREAM_MAX + 1)) == "scan-limit"
    assert verdict(real, b"\0" * 80 * MIB) == "scan-limit"


@emulated
def test_the_largest_upload_is_below_the_limit(real: int) -> None:
    from shared.media.api_model import MAX_UPLOAD

    assert verdict(real, b"\0" * (MAX_UPLOAD - len(EICAR)) + EICAR) == "infected"


@emulated
def test_a_file_that_comes_slowly_is_one_file(real: int) -> None:
    """Slower than a thread of clamd waits for work."""

    def pieces() -> Iterator[bytes]:
        yield EICAR[:20]
        time.sleep(1.5)
        yield EICAR[20:]

    assert Clamd("127.0.0.1", real).look(pieces()).verdict == "infected"


@emulated
def test_many_at_once_get_each_its_own_verdict(real: int) -> None:
    found: dict[int, str] = {}

    def scan(number: int) -> None:
        found[number] = verdict(real, EICAR if number % 2 else PHOTO)

    threads = [threading.Thread(target=scan, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [found[number] == "infected" for number in range(10)] == [False, True] * 5


@emulated
@pytest.mark.skipif(local.find() is None, reason="no clamd on this machine")
def test_clamd_says_so_of_what_it_did_not_look_at(tmp_path: Path) -> None:
    """A file larger than it scans, although it takes it: its default would be OK."""
    port = free_port()
    usual = local.CONFIGURATION.read_text()
    small = tmp_path / "small.conf"
    small.write_text(usual.replace("MaxFileSize 60M", "MaxFileSize 1M"))
    assert small.read_text() != usual
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "CONFIGURATION", small)
        command = local.command(port, tmp_path)
    with served(command, port, tmp_path / "log"):
        assert verdict(port, b"a" * 2 * MIB + EICAR) == "scan-limit"


# X. Wang and H. Yu, "How to Break MD5 and Other Hash Functions" (2005): these and the same with
# six bits turned have one MD5.
MD5_TWIN = bytes.fromhex(
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89"
    "55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b"
    "d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70"
)
TURNED = (19, 45, 59, 83, 109, 123)


@emulated
@pytest.mark.skipif(local.find() is None, reason="no clamd on this machine")
def test_a_harmless_twin_vouches_for_nothing(tmp_path: Path) -> None:
    """By default clamd says OK, and does not look, when the MD5 is that of a clean file."""
    evil = bytes(one ^ 0x80 if at in TURNED else one for at, one in enumerate(MD5_TWIN))
    assert hashlib.md5(evil).digest() == hashlib.md5(MD5_TWIN).digest()
    port = free_port()
    command = local.command(port, tmp_path)
    (tmp_path / "signatures" / "evil.ndb").write_text(f"Evil:0:*:{evil[:32].hex()}\n")
    with served(command, port, tmp_path / "log"):
        assert "ClamAV" in verdict(port, MD5_TWIN + b"a picture")
        assert verdict(port, evil + b"a picture") == "infected"


@emulated
def test_the_stand_in_says_that_it_is_one(tmp_path: Path) -> None:
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "find", lambda: None)
        command = local.command(port, tmp_path)
    with served(command, port, tmp_path / "log"):
        assert "stand-in" in (tmp_path / "log").read_text()
        assert "stand-in" in verdict(port, PHOTO)
