"""`python -m services.scanner.start`: the container's first process.

Takes the signatures from the mirror, starts clamd with them, waits until it answers, and only then
starts the HTTP service: Cloud Run's startup probe fails as long as nothing could be scanned. Later
it takes new signatures and tells clamd. When clamd, the service or this process ends, all end, and
Cloud Run starts another instance; what was being scanned has no verdict then, and comes again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from shared.errors import Unavailable
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.signatures import Signatures
from shared.settings import SignatureSettings

HERE = Path(__file__).parent
_HOST = "127.0.0.1"
_CLAMD_PORT = 3310
# Seconds between two looks at the mirror, and at whether clamd answers. A look is one listing.
_EVERY = 300.0
# Seconds: what the mirror did not give yet is asked for again.
_AGAIN = 5.0
# Seconds without a scan after which clamd hangs: scans wait while it loads new signatures, a minute
# at its worst.
_SILENT = 300.0
# What is scanned to see whether anything can be.
_PROBE = b"Is anybody there?"
# Seconds for clamd's answer to one word.
_ANSWERS = 5.0
# Seconds that Cloud Run gives an instance to end are ten.
_ENDS_WITHIN = 8.0
_log = logging.getLogger(__name__)


class Container:
    """`given` are the options of the command."""

    def __init__(self, signatures: Signatures, folder: Path, given: argparse.Namespace) -> None:
        self._signatures = signatures
        self._folder = folder
        self._port: int = given.port
        self._clamd_port: int = given.clamd_port
        self._every: float = given.every
        self._silent: float = given.silent
        self._processes: list[asyncio.subprocess.Process] = []

    async def run(self) -> int:
        """0 when it was told to end, 1 when a part of it ended by itself."""
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        end = asyncio.create_task(told.wait())
        work = asyncio.create_task(self._work())
        try:
            await asyncio.wait({end, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return 0
            work.result()
            return 1
        finally:
            for task in (end, work):
                task.cancel()
            await asyncio.wait({end, work})
            await asyncio.gather(*map(_ended, reversed(self._processes)))

    async def _work(self) -> None:
        """Returns when a part ended."""
        while not await self._fetched():
            await asyncio.sleep(_AGAIN)
        clamd = await self._started("clamd", f"--config-file={self._configuration()}")
        answering = asyncio.create_task(self._answering())
        await asyncio.wait({answering, _end_of(clamd)}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
            _log.error("clamd ended before it answered")
            return
        self._signatures.tell_age()
        service = await self._started(
            *(sys.executable, "-m", "functions_framework", "--host=0.0.0.0"),
            *(f"--port={self._port}", f"--source={HERE / 'main.py'}", "--target=scanner"),
            CLAMD=f"{_HOST}:{self._clamd_port}",
        )
        parts = {_end_of(clamd), _end_of(service), asyncio.create_task(self._tend())}
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for task in parts:
            task.cancel()
        _log.error("clamd, or the service before it, ended or hangs: so does this instance")

    def _configuration(self) -> Path:
        fixed = (HERE / "clamd.conf").read_text()
        own = {
            "TCPAddr": _HOST,
            "TCPSocket": self._clamd_port,
            "DatabaseDirectory": self._folder,
        }
        path = self._folder.with_suffix(".conf")
        path.write_text(fixed + "".join(f"{name} {value}\n" for name, value in own.items()))
        return path

    async def _started(self, *command: str, **environment: str) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **environment}
        )
        self._processes.append(process)
        return process

    async def _answering(self) -> None:
        while await self._said("PING") != "PONG":
            await asyncio.sleep(0.1)

    async def _tend(self) -> None:
        """Returns when clamd scans no more. One that could not load new signatures has none at all:
        it still answers a PING, and fails every scan."""
        loop = asyncio.get_running_loop()
        heard, is_new = loop.time(), False
        while loop.time() - heard < self._silent + self._every:
            await asyncio.sleep(self._every)
            verdict = await self._said("INSTREAM", _PROBE)
            if verdict.startswith("stream: "):
                heard = loop.time()
            elif verdict:
                _log.error("clamd cannot scan, and says: %.200r", verdict)
                return
            is_new = await self._fetched() or is_new
            if is_new:
                said = await self._said("RELOAD")
                _log.warning("new signatures: clamd says %s", said)
                # Told again until it heard, or the folder would be newer than what it uses.
                is_new = said != "RELOADING"
            self._signatures.tell_age()

    async def _fetched(self) -> bool:
        """Whether the folder has changed."""
        try:
            return await asyncio.to_thread(self._signatures.fetch)
        except Unavailable as error:
            _log.warning("the signatures stay as they are: %s", error)
        return False

    async def _said(self, word: str, stream: bytes | None = None) -> str:
        """clamd's answer to one word, and to the stream behind it; empty when it gives none."""
        try:
            async with asyncio.timeout(_ANSWERS):
                reader, writer = await asyncio.open_connection(_HOST, self._clamd_port)
                try:
                    writer.write(f"z{word}\0".encode())
                    if stream is not None:
                        writer.write(len(stream).to_bytes(4) + stream + bytes(4))
                    return (await reader.readuntil(b"\0"))[:-1].decode()
                finally:
                    writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return ""


def _end_of(process: asyncio.subprocess.Process) -> asyncio.Task[int]:
    return asyncio.create_task(process.wait())


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_ENDS_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m services.scanner.start", description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8080")))
    parser.add_argument("--clamd-port", type=int, default=_CLAMD_PORT)
    parser.add_argument("--every", type=float, default=_EVERY, help="seconds between looks")
    parser.add_argument("--silent", type=float, default=_SILENT, help="seconds for a clamd to hang")
    given = parser.parse_args()
    settings = SignatureSettings.read(os.environ)
    objects = CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint)
    with tempfile.TemporaryDirectory(prefix="scanner-") as folder:
        database = Path(folder) / "signatures"
        database.mkdir()
        signatures = Signatures(
            objects, settings.signatures_bucket, database, settings.needed_signatures
        )
        return asyncio.run(Container(signatures, database, given).run())


if __name__ == "__main__":
    sys.exit(main())
