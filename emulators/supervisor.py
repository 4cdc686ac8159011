"""Runs the local cloud: starts all parts at once, provisions, watches, stops in order.

Whatever goes wrong with a part ends the whole: half a cloud only makes puzzling errors. Before
the parts end, Firestore's documents are exported, so that the next start has them again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Coroutine, Iterable
from typing import Any

import aiohttp

from emulators import official
from emulators.exports import Exports
from emulators.journal import Journal
from emulators.parts import parts
from emulators.plan import Plan
from emulators.process import PartFailed, Process
from emulators.provision import provision
from emulators.reload import Changes

# Seconds between exports: what a kill of the machine costs at most.
_EXPORT_EVERY = 60.0
# Saving a file and looking at the page takes about as long.
_LOOK_FOR_CHANGES_EVERY = 0.5
# What provisioning talks to.
_FOUNDATION = ("pubsub", "storage", "platform")


class Supervisor:
    def __init__(self, plan: Plan, journal: Journal, *, reload: bool) -> None:
        self._plan = plan
        self._journal = journal
        self._reload = reload
        self._exports = Exports(plan)
        wanted = parts(plan, self._exports.latest())
        self._processes = {part.name: Process(part, journal) for part in wanted}
        # Before anything starts: what is saved while it does counts as changed.
        self._changes = Changes(folder for part in wanted for folder in part.sources)

    async def run(self) -> int:
        """Until a signal (0) or the end of a part (1)."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with aiohttp.ClientSession() as session:
            work = asyncio.create_task(self._work(session))
            told = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({work, told}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    await work
                self._journal.say("Stopping")
                return 0
            except PartFailed as failure:
                self._journal.say(f"Stopping: {failure}")
                return 1
            finally:
                work.cancel()
                told.cancel()
                await asyncio.gather(work, told, return_exceptions=True)
                await self._end(session)

    async def _work(self, session: aiohttp.ClientSession) -> None:
        started = time.monotonic()
        self._journal.say(f"Starting {', '.join(self._processes)}")
        for process in self._processes.values():
            await process.start()
        await _together(self._processes[name].serves(session) for name in _FOUNDATION)
        await asyncio.to_thread(provision, self._plan)
        serving = [process.serves(session) for process in self._processes.values()]
        await _together([*serving, self._warm(session)])
        self._plan.save(os.getpid())
        seconds = time.monotonic() - started
        self._journal.say(f"Ready after {seconds:.1f} s: {self._plan.origins[0]}")
        jobs = [process.ends() for process in self._processes.values()]
        jobs.append(self._export_now_and_then(session))
        if self._reload:
            jobs.append(self._restart_what_changed(session))
        await _together(jobs)

    async def _warm(self, session: aiohttp.ClientSession) -> None:
        await self._processes["firestore"].serves(session)
        for path, body in official.warming(self._plan.project):
            url = self._plan.url("firestore") + path
            async with session.post(url, json=body, headers=official.OWNER) as answer:
                answer.raise_for_status()

    async def _export_now_and_then(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(_EXPORT_EVERY)
            await self._export(session)

    async def _export(self, session: aiohttp.ClientSession) -> None:
        try:
            await self._exports.make(session)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._journal.say(f"Firestore's documents were not exported: {error}")

    async def _restart_what_changed(self, session: aiohttp.ClientSession) -> None:
        while True:
            await asyncio.sleep(_LOOK_FOR_CHANGES_EVERY)
            changed = self._changes.since_last()
            for process in self._processes.values():
                if changed.intersection(process.part.sources):
                    await self._restart(process, session)

    async def _restart(self, process: Process, session: aiohttp.ClientSession) -> None:
        try:
            await process.restart(session)
        except PartFailed as failure:
            self._journal.say(f"{failure}; it starts again at the next change")
        else:
            self._journal.say(f"{process.part.name} runs the changed code")

    async def _end(self, session: aiohttp.ClientSession) -> None:
        """Those that write end first, then what they wrote to."""
        was_ready = self._plan.record.exists()
        self._plan.record.unlink(missing_ok=True)
        stores = ("platform", "storage", "pubsub", "firestore", "scanner")
        outer = [process for name, process in self._processes.items() if name not in stores]
        await asyncio.gather(*(process.stop() for process in outer))
        if was_ready:
            await self._export(session)
        await asyncio.gather(*(self._processes[name].stop() for name in stores))


async def _together(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All of them; the first that fails ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
