"""The virus scanner of the local cloud: Debian's clamd when it is installed, else a stand-in.

clamd gets a configuration and a signature of our own, which knows only the EICAR test file: the
real ones take a gigabyte of memory and half a minute to load. The stand-in
(`python -m emulators.scanner`) speaks the same protocol, finds the same file anywhere in the
content and nothing else, and says at its start that it is one.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

HOST = "127.0.0.1"
# https://www.eicar.org: harmless, and every scanner finds it. In two pieces, or one would find it
# in this file.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURE = "Snaptask.Eicar"
MIB = 1024 * 1024
CONFIGURATION = Path(__file__).parents[1] / "services" / "scanner" / "clamd.conf"
# As the configuration has it.
STREAM_MAX = 60 * MIB


def find() -> str | None:
    """The path of an installed clamd, or None. Debian has it where only root looks."""
    return shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/usr/local/sbin")


def command(port: int, folder: Path) -> list[str]:
    """What serves clamd's protocol on `port`; `folder` is its own."""
    clamd = find()
    if clamd is None:
        return [sys.executable, "-m", "emulators.scanner", f"--port={port}"]
    database = folder / "signatures"
    database.mkdir(parents=True, exist_ok=True)
    # Any kind of file (0), anywhere in it (*).
    (database / "snaptask.ndb").write_text(f"{SIGNATURE}:0:*:{EICAR.hex()}\n")
    own = f"TCPSocket {port}\nTCPAddr {HOST}\nDatabaseDirectory {database}\n"
    configuration = folder / "clamd.conf"
    configuration.write_text(CONFIGURATION.read_text() + own)
    return [clamd, f"--config-file={configuration}"]


async def answers(port: int) -> bool:
    """Whether somebody answers a PING there."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(HOST, port), 2)
        try:
            writer.write(b"zPING\0")
            return await asyncio.wait_for(reader.read(5), 2) == b"PONG\0"
        finally:
            writer.close()
    except (OSError, TimeoutError):
        return False


class StandIn:
    """Serves one connection at a time per task, as the manual of clamd has it."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session, count = False, 0
        while True:
            asked = await reader.readuntil(b"\0")
            if asked == b"zIDSESSION\0":
                session = True
                continue
            if asked == b"zEND\0":
                return
            count += 1
            answer = await self._answer(asked, reader)
            writer.write(f"{count}: ".encode() * session + answer + b"\0")
            await writer.drain()
            if not session or answer.endswith(b"ERROR"):
                return

    async def _answer(self, asked: bytes, reader: asyncio.StreamReader) -> bytes:
        if asked == b"zPING\0":
            return b"PONG"
        if asked == b"zVERSION\0":
            return b"Snaptask's stand-in, which knows EICAR only"
        if asked != b"zINSTREAM\0":
            return b"UNKNOWN COMMAND ERROR"
        content = bytearray()
        while size := int.from_bytes(await reader.readexactly(4), "big"):
            if len(content) + size > STREAM_MAX:
                return b"INSTREAM size limit exceeded. ERROR"
            content += await reader.readexactly(size)
        return f"stream: {SIGNATURE} FOUND".encode() if EICAR in content else b"stream: OK"


async def serve(port: int) -> None:
    server = await asyncio.start_server(StandIn(), HOST, port)
    print(
        "This is a stand-in for clamd: it finds the EICAR test file and nothing else. "
        "Install clamav-daemon for the real one.",
        flush=True,
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
