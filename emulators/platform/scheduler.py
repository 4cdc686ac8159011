"""Cloud Scheduler: POSTs each declared job to its function, every so often or when told.

Two runs of one job never overlap. Source: Google's "Create and configure cron jobs": the headers,
the OIDC token with the function's URL as its audience.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp

from emulators.platform.identity import Identity
from emulators.platform.log import say
from infra.declaration import Declaration, Schedule


class UnknownJob(Exception):
    """No schedule of this name is served."""


class Scheduler:
    """`urls` are those of the functions; a job whose function has none is not served."""

    def __init__(
        self, declaration: Declaration, urls: Mapping[str, str], identity: Identity
    ) -> None:
        self.paused = False
        self._jobs = {
            schedule.name: _Job(
                schedule,
                urls[schedule.function],
                declaration.function_by_name[schedule.function].timeout,
                identity,
            )
            for schedule in declaration.schedules
            if schedule.function in urls
        }

    async def run(self) -> None:
        """Until cancelled."""
        tasks = [asyncio.create_task(self._repeat(job)) for job in self._jobs.values()]
        try:
            await asyncio.gather(*tasks)
            await asyncio.Event().wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

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
    def __init__(self, schedule: Schedule, url: str, timeout: int, identity: Identity) -> None:
        self.schedule = schedule
        self._url = url
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._identity = identity
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
        token = self._identity.id_token(self._identity.caller, self._url)
        headers = {
            "Authorization": f"Bearer {token}",
            "User-Agent": "Google-Cloud-Scheduler",
            "X-CloudScheduler": "true",
            "X-CloudScheduler-JobName": self.schedule.name,
            "X-CloudScheduler-ScheduleTime": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        address = self._url.rstrip("/") + self.schedule.path
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.post(address, headers=headers, allow_redirects=False) as answer,
            ):
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    def _log(self) -> None:
        """Only the first failure of a row, or a function that is down fills the log."""
        failing = self._status is None or self._status >= 300
        if failing and not self._failing:
            how = f"answered {self._status}" if self._status else "did not answer"
            say(f"{self.schedule.name}: {self.schedule.function} {how}", "WARNING")
        self._failing = failing
