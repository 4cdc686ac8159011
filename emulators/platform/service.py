"""Puts the platform together on one event loop: an HTTP port, a gRPC port, and the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from aiohttp import web

from emulators.platform import files
from emulators.platform.admin import Admin
from emulators.platform.deliveries import LEASE, Deliveries, routes
from emulators.platform.identity import Identity
from emulators.platform.issuer import NOBODY, Client, Issuer
from emulators.platform.mailbox import Mailbox
from emulators.platform.metadata import Certificates, IAMCredentials, MetadataServer
from emulators.platform.scheduler import Scheduler
from emulators.platform.secrets import SecretManager, Vault
from emulators.platform.sender import Sender
from infra.declaration import DECLARATION, Declaration

# Seconds; functions' clients keep connections in pools and a race on closing costs a retry.
_KEEP_ALIVE = 300
# Seconds for requests that are under way at the end.
_GRACE = 2.0


@dataclass(frozen=True)
class Options:
    data: Path
    project: str
    pubsub: str
    functions: Mapping[str, str]
    """URL by name; what is not here gets no deliveries."""
    host: str = "127.0.0.1"
    port: int = 0
    secrets_port: int = 0
    smtp_port: int = 0
    admin: bool = False
    client: Client = NOBODY
    """Who may ask the local issuer; nobody, unless given."""
    lease: int = LEASE
    declaration: Declaration = DECLARATION


@dataclass(frozen=True)
class Platform:
    """Where it serves; `background` ends only when something broke."""

    url: str
    secrets: str
    mail: str
    background: asyncio.Task[None]


@asynccontextmanager
async def serving(options: Options) -> AsyncIterator[Platform]:
    """Raises files.InUse, and OSError for a port that is taken."""
    declaration = options.declaration
    with files.locked(options.data):
        names = declaration.function_by_name
        identity = Identity(options.data / "identity", options.project, names)
        async with Sender.of_all(identity, names, options.functions) as senders:
            found = routes(declaration, options.project)
            deliveries = Deliveries(options.pubsub, found, senders, options.lease)
            scheduler = Scheduler(declaration, senders)
            mailbox = Mailbox()
            admin = Admin(deliveries, scheduler, mailbox, allowed=options.admin)
            async with (
                _grpc(options) as secrets,
                _smtp(options, mailbox) as mail,
                _http(options, identity, admin) as url,
            ):
                background = asyncio.create_task(_background(deliveries, scheduler))
                try:
                    yield Platform(url, secrets, mail, background)
                finally:
                    background.cancel()
                    await asyncio.gather(background, return_exceptions=True)


async def _background(deliveries: Deliveries, scheduler: Scheduler) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(deliveries.run())
        group.create_task(scheduler.run())
        # Neither may have anything to do, which is no reason to end.
        await asyncio.Event().wait()


@asynccontextmanager
async def _grpc(options: Options) -> AsyncIterator[str]:
    # Two servers on one port would share its calls, and half of the secrets would be missing.
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    vault = Vault(options.data / "secrets.json", options.project)
    server.add_generic_rpc_handlers([SecretManager(vault).handler()])
    try:
        port = server.add_insecure_port(f"{options.host}:{options.secrets_port}")
    except RuntimeError:
        raise OSError(f"port {options.secrets_port} of {options.host} is taken") from None
    await server.start()
    try:
        yield f"{options.host}:{port}"
    finally:
        await server.stop(_GRACE)


@asynccontextmanager
async def _smtp(options: Options, mailbox: Mailbox) -> AsyncIterator[str]:
    server = await mailbox.listen(options.host, options.smtp_port)
    try:
        yield f"{options.host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def _http(options: Options, identity: Identity, admin: Admin) -> AsyncIterator[str]:
    application = web.Application()
    url = ""
    issuer = Issuer(identity, options.client, lambda: f"{url}/issuer")
    parts = (
        MetadataServer(identity),
        IAMCredentials(identity),
        Certificates(identity),
        issuer,
        admin,
    )
    for part in parts:
        application.add_routes(part.routes())
    runner = web.AppRunner(
        application, access_log=None, keepalive_timeout=_KEEP_ALIVE, shutdown_timeout=_GRACE
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, options.host, options.port)
        await site.start()
        port = runner.addresses[0][1]
        url = f"http://{options.host}:{port}"
        yield url
    finally:
        await runner.cleanup()
