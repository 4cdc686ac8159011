"""One part of the local cloud as a process: start, wait until it serves, stop, start again.

Each part leads a process group of its own, so that Ctrl-C on the terminal reaches only the
supervisor, which then ends the parts in order, and so that a part's own children (gunicorn's
worker) end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys

import aiohttp

from emulators import scanner
from emulators.journal import Journal
from emulators.parts import Part

# Seconds. Everything starts at once on two cores, so each may take long although none does alone.
_SERVES_WITHIN = 90.0
_LOOK_EVERY = 0.05
# A request under way may finish; what hangs longer than this is not going to.
_ENDS_WITHIN = 8.0
_LONGEST_LINE = 256 * 1024
_PR_SET_PDEATHSIG = 1


class PartFailed(Exception):
    """A part ended by itself or never served; the message names it."""


class Process:
    def __init__(self, part: Part, journal: Journal) -> None:
        self.part = part
        self._journal = journal
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = asyncio.Event()
        self._may_end = False

    async def start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self.part.command,
            env=self.part.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LINE,
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self._process = process
        self._tasks = [
            asyncio.create_task(self._read(process)),
            asyncio.create_task(self._watch(process)),
        ]

    async def serves(self, session: aiohttp.ClientSession) -> None:
        """Returns once the health address answers. Raises PartFailed."""
        try:
            async with asyncio.timeout(_SERVES_WITHIN):
                while not await is_healthy(self.part, session):
                    if self._process is None or self._process.returncode is not None:
                        raise PartFailed(f"{self.part.name} ended while it was starting")
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise PartFailed(f"{self.part.name} did not serve in {_SERVES_WITHIN:.0f} s") from None

    async def ends(self) -> None:
        """Waits for an end that nobody asked for, then raises PartFailed."""
        await self._ended.wait()
        raise PartFailed(f"{self.part.name} ended")

    async def restart(self, session: aiohttp.ClientSession) -> None:
        """For changed code. What does not start may stay away until the next change; raises
        PartFailed then, and `ends` keeps quiet about it."""
        await self.stop()
        self._may_end = True
        await self.start()
        await self.serves(session)
        self._may_end = False

    async def stop(self) -> None:
        """Ends the whole group, politely first. Ending twice is harmless."""
        process, self._process = self._process, None
        if process is None:
            return
        reading, watching = self._tasks
        watching.cancel()
        _signal(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _ENDS_WITHIN)
        except TimeoutError:
            self._journal.say(f"{self.part.name} does not end by itself and is killed")
        # What is left of the group, the part itself included if it hung.
        _signal(process.pid, signal.SIGKILL)
        await process.wait()
        await asyncio.gather(reading, watching, return_exceptions=True)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        while process.stdout:
            try:
                line = await process.stdout.readline()
            except ValueError:
                # Longer than the limit: the rest of it comes as lines of its own.
                line = b"(a very long line)"
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            if text:
                self._journal.write(self.part.name, text)

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        self._journal.say(f"{self.part.name} ended with code {code}")
        if not self._may_end:
            self._ended.set()


async def is_healthy(part: Part, session: aiohttp.ClientSession) -> bool:
    if part.health.startswith("clamd://"):
        return await scanner.answers(int(part.health.rpartition(":")[2]))
    try:
        timeout = aiohttp.ClientTimeout(total=2)
        async with session.get(part.health, timeout=timeout) as answer:
            return answer.status < 400
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def _end_with_parent() -> None:
    """Should the supervisor itself be killed, the kernel ends its parts."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
