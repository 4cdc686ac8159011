"""Cloud Scheduler: POSTs each declared job to its function, every so often or when told.

Two runs of one job never overlap. Source: Google's "Create and configure cron jobs": the headers,
the OIDC token with the function's URL as its audience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from emulators.platform.log import say
from emulators.platform.sender import NoAnswer, Sender
from infra.declaration import Declaration, Schedule


class UnknownJob(Exception):
    """No schedule of this name is served."""


class Scheduler:
    """A job whose function has no sender is not served."""

    def __init__(self, declaration: Declaration, senders: Mapping[str, Sender]) -> None:
        self.paused = False
        self._jobs = {
            schedule.name: _Job(schedule, senders[schedule.function])
            for schedule in declaration.schedules
            if schedule.function in senders
        }

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs.values():
                group.create_task(self._repeat(job))

    async def run_now(self, name: str) -> int | None:
        """The function's status, None when it did not answer. The run starts after this call, so
        one that is under way is waited for. Raises UnknownJob."""
        if name not in self._jobs:
            raise UnknownJob(name)
        return await self._jobs[name].run()

    def shown(self) -> dict[str, Any]:
        return {"paused": self.paused, "jobs": [job.shown() for job in self._jobs.values()]}

    async def _repeat(self, job: _Job) -> None:
        while True:
            await asyncio.sleep(job.schedule.local_every)
            if not self.paused:
                await job.run()


class _Job:
    def __init__(self, schedule: Schedule, sender: Sender) -> None:
        self.schedule = schedule
        self._sender = sender
        self._lock = asyncio.Lock()
        self._runs = 0
        self._status: int | None = None
        self._failing = False

    def shown(self) -> dict[str, Any]:
        return {
            "name": self.schedule.name,
            "function": self.schedule.function,
            "path": self.schedule.path,
            "everySeconds": self.schedule.local_every,
            "runs": self._runs,
            "lastStatus": self._status,
            "running": self._lock.locked(),
        }

    async def run(self) -> int | None:
        async with self._lock:
            self._status = await self._post()
            self._runs += 1
            self._log()
            return self._status

    async def _post(self) -> int | None:
        headers = {
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": self.schedule.name,
            "X-CloudScheduler-ScheduleTime": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            return await self._sender.post(self.schedule.path, headers, b"")
        except NoAnswer:
            return None

    def _log(self) -> None:
        """Only the first failure of a row, or a function that is down fills the log."""
        failing = self._status is None or self._status >= 300
        if failing and not self._failing:
            how = f"answered {self._status}" if self._status else "did not answer"
            say(f"{self.schedule.name}: {self.schedule.function} {how}", "WARNING")
        self._failing = failing
