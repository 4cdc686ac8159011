"""`/_emulator`: health for everyone; the switches only when started with --admin.

A change needs content type application/json, which a page of another origin cannot send without
being asked first.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from emulators.platform.chaos import Chaos, InvalidChaos, parse
from emulators.platform.deliveries import Deliveries
from emulators.platform.mailbox import Mailbox, Refusals
from emulators.platform.scheduler import Scheduler, UnknownJob

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    def __init__(
        self, deliveries: Deliveries, scheduler: Scheduler, mailbox: Mailbox, *, allowed: bool
    ) -> None:
        self._deliveries = deliveries
        self._scheduler = scheduler
        self._mailbox = mailbox
        self._allowed = allowed

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_emulator/health", self._health),
            web.get("/_emulator/deliveries", self._guarded(self._shown_deliveries)),
            web.get("/_emulator/chaos", self._guarded(self._shown_chaos)),
            web.post("/_emulator/chaos", self._guarded(self._set_chaos)),
            web.delete("/_emulator/chaos", self._guarded(self._clear_chaos)),
            web.get("/_emulator/scheduler", self._guarded(self._shown_scheduler)),
            web.post("/_emulator/scheduler", self._guarded(self._pause)),
            web.post("/_emulator/scheduler/run", self._guarded(self._run_job)),
            web.get("/_emulator/mails", self._guarded(self._shown_mails)),
            web.delete("/_emulator/mails", self._guarded(self._clear_mails)),
            web.post("/_emulator/mails", self._guarded(self._refuse_mails)),
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            if not self._allowed:
                return _error(403, "Start the platform with --admin for this.")
            if request.method == "POST" and request.content_type != "application/json":
                return _error(415, "Changes need content-type application/json.")
            try:
                return await handler(request)
            except (InvalidChaos, _Invalid) as error:
                return _error(400, str(error))

        return guarded

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "service": "platform"})

    async def _shown_deliveries(self, request: web.Request) -> web.Response:
        return web.json_response({"subscriptions": self._deliveries.shown()})

    async def _shown_chaos(self, request: web.Request) -> web.Response:
        return web.json_response(self._deliveries.chaos.shown())

    async def _set_chaos(self, request: web.Request) -> web.Response:
        self._deliveries.chaos = parse(await _object(request))
        return web.json_response(self._deliveries.chaos.shown())

    async def _clear_chaos(self, request: web.Request) -> web.Response:
        self._deliveries.chaos = Chaos()
        return web.Response(status=204)

    async def _shown_scheduler(self, request: web.Request) -> web.Response:
        return web.json_response(self._scheduler.shown())

    async def _pause(self, request: web.Request) -> web.Response:
        body = await _object(request)
        if set(body) != {"paused"} or not isinstance(body["paused"], bool):
            raise _Invalid('The body must be {"paused": true} or {"paused": false}.')
        self._scheduler.paused = body["paused"]
        return web.json_response(self._scheduler.shown())

    async def _run_job(self, request: web.Request) -> web.Response:
        body = await _object(request)
        if set(body) != {"job"} or not isinstance(body["job"], str):
            raise _Invalid('The body must be {"job": NAME}.')
        try:
            status = await self._scheduler.run_now(body["job"])
        except UnknownJob:
            return _error(404, f"No job {body['job']} is served.")
        return web.json_response({"job": body["job"], "status": status})

    async def _shown_mails(self, request: web.Request) -> web.Response:
        return web.json_response({"mails": self._mailbox.shown(request.query.get("to"))})

    async def _clear_mails(self, request: web.Request) -> web.Response:
        self._mailbox.clear()
        return web.Response(status=204)

    async def _refuse_mails(self, request: web.Request) -> web.Response:
        body = await _object(request)
        code, times = body.get("refuse"), body.get("times")
        if set(body) != {"refuse", "times"} or type(code) is not int or type(times) is not int:
            raise _Invalid('The body must be {"refuse": 451, "times": 3}.')
        if not 400 <= code <= 599:
            raise _Invalid("SMTP refuses with 400-499 for now, 500-599 for ever.")
        self._mailbox.refusals = Refusals(code, times)
        return web.json_response(body)


class _Invalid(Exception):
    """The body is not what the switch takes."""


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise _Invalid("The body is no JSON.") from None
    if not isinstance(body, dict):
        raise _Invalid("The body is no JSON object.")
    return body


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": message}, status=status)
