"""Whether bytes are known to be harmful, asked of clamd over TCP, or of a service that has one.

One connection a file: VERSION and INSTREAM in one session (man clamd), so that the name that is
kept on the medium is that of the engine and signatures which looked at it. Only "OK" for the
stream is a clean file. What clamd cannot look at wholly is refused, not passed; what it does not
answer, or answers in words that we do not know, is Unavailable, and the event comes again.
"""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, Protocol

from shared.errors import Unavailable
from shared.media.objects import ObjectVersion
from shared.media.outline import Rejected

# Seconds. A clean file of 50 MB takes one; clamd itself gives up after two minutes (its
# MaxScanTime) and says so, and this is longer, so that it is told and not guessed.
_PATIENCE = 150.0
_CONNECT = 2.0
_CHUNK = 256 * 1024
# Two short lines; who sends more is not clamd.
_LONGEST_ANSWER = 4096
_ANSWERS = re.compile(rb"1: ([ -~]+)\x002: ([ -~]+)\x00")
# What clamd says of a file larger than it takes, deeper nested, or slower to scan
# (AlertExceedsMax in its configuration, without which it would say OK).
_OVER_LIMIT = ("INSTREAM size limit exceeded", "stream: Heuristics.Limits.Exceeded")
_log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """`engine` are program and signatures; `verdict` is clean, or a medium's reason."""

    engine: str
    verdict: Literal["clean", "infected", "scan-limit"]

    def passed(self) -> str:
        """Who found nothing; raises Rejected."""
        if self.verdict != "clean":
            raise Rejected(self.verdict)
        return self.engine


class Scanner(Protocol):
    def scan(self, upload: ObjectVersion, content: bytes) -> str | None:
        """Who found nothing in exactly these bytes, None for nobody; `upload` is where they were
        read. Raises Rejected (`infected`, `scan-limit`) and errors.Unavailable."""
        ...


class NoScanner:
    """For who decided to run without one; the medium says so by its empty `scannedBy`."""

    def scan(self, upload: ObjectVersion, content: bytes) -> str | None:
        return None


def scanner(address: str) -> Scanner:
    """`address` is the URL of a scan service, "host:port" of a clamd, or "off"."""
    if address == "off":
        _log.warning("uploads are not scanned: SCANNER is off")
        return NoScanner()
    if "://" in address:
        # Imported only where it is used, as it is not in a local cloud.
        from shared.media.scan_client import ScanService

        return ScanService(address)
    return clamd_at(address)


def clamd_at(address: str) -> Clamd:
    """`address` is "host:port"."""
    host, _, port = address.rpartition(":")
    return Clamd(host, int(port))


class Clamd:
    """Keeps no connection: clamd closes an idle one, and a file is a rare thing."""

    def __init__(self, host: str, port: int, patience: float = _PATIENCE) -> None:
        self._address = (host, port)
        self._patience = patience

    def scan(self, upload: ObjectVersion, content: bytes) -> str:
        return self.look([content]).passed()

    def look(self, pieces: Iterable[bytes]) -> Seen:
        """What they are together. Raises errors.Unavailable, and whatever `pieces` raises."""
        try:
            with socket.create_connection(self._address, _CONNECT) as connection:
                answer = _Session(connection, self._patience).ask(pieces)
        except OSError as error:
            raise Unavailable(f"The virus scanner does not answer ({error})") from None
        match = _ANSWERS.fullmatch(answer)
        engine, verdict = (part.decode() for part in match.groups()) if match else ("", "")
        if verdict == "stream: OK":
            return Seen(engine, "clean")
        _log.warning("the virus scanner says: %r", answer)
        if verdict.startswith(_OVER_LIMIT):
            return Seen(engine, "scan-limit")
        if verdict.startswith("stream: ") and verdict.endswith(" FOUND"):
            return Seen(engine, "infected")
        raise Unavailable("The virus scanner gave no verdict")


class _Session:
    """Every wait ends at one deadline. Raises OSError."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + patience

    def ask(self, pieces: Iterable[bytes]) -> bytes:
        try:
            self._send(b"zIDSESSION\0zVERSION\0zINSTREAM\0")
            for chunk in _chunks(pieces):
                self._send(len(chunk).to_bytes(4, "big") + chunk)
            self._send(b"\0\0\0\0")
        except (BrokenPipeError, ConnectionResetError):
            # It has had enough of a file over its limit; why, it may have said before.
            pass
        return self._answer()

    def _send(self, part: bytes) -> None:
        self._connection.settimeout(self._left())
        self._connection.sendall(part)

    def _answer(self) -> bytes:
        answer = b""
        while answer.count(b"\0") < 2 and len(answer) < _LONGEST_ANSWER:
            self._connection.settimeout(self._left())
            got = self._connection.recv(_LONGEST_ANSWER)
            if not got:
                break
            answer += got
        return answer

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("too slow")
        return left


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """None of them empty, which would be the end."""
    for piece in pieces:
        for at in range(0, len(piece), _CHUNK):
            yield piece[at : at + _CHUNK]
