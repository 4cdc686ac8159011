"""`python -m emulators.storage`: one process, one port, one folder.

Prints `listening http://HOST:PORT` once it answers. SIGTERM and SIGINT end it after the requests
that are under way.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from pathlib import Path

import uvicorn

from emulators.storage.app import Application
from emulators.storage.faults import Faults
from emulators.storage.signatures import Keys
from emulators.storage.store import Store


class _Server(uvicorn.Server):
    """Says where it listens, for a caller that asked for any free port."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            print(f"listening http://{host}:{port}", flush=True)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators.storage", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--certs", help="URL before /EMAIL that answers {kid: x509 PEM}")
    parser.add_argument("--service-account-key", type=Path, action="append", default=[])
    parser.add_argument("--allow-anonymous", action="store_true", help="JSON API without token")
    parser.add_argument("--pubsub", help="HOST:PORT of a Pub/Sub emulator")
    parser.add_argument("--admin", action="store_true", help="serve /_emulator/faults")
    return parser.parse_args(arguments)


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the protocol is named; else an answer in two
    # writes waits 40 ms for an acknowledgement.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    trouble = Faults()
    store = Store(options.data, clock=trouble.now)
    app = Application(
        store,
        Keys(options.certs, options.service_account_key),
        trouble,
        allow_anonymous=options.allow_anonymous,
        admin=options.admin,
        pubsub=options.pubsub,
    )
    config = uvicorn.Config(
        app,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        # A client's pool keeps connections for minutes; a race on closing would cost it a retry.
        timeout_keep_alive=300,
        timeout_graceful_shutdown=5,
        lifespan="on",
    )
    server = _Server(config)
    asyncio.run(server.serve(sockets=[listen(options.host, options.port)]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
