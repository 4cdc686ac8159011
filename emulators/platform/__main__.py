"""`python -m emulators.platform`: one process, one folder, ports for HTTP, gRPC and SMTP.

Prints `listening http://HOST:PORT secrets HOST:PORT mail HOST:PORT` once everything answers.
SIGTERM and SIGINT end it at once; deliveries that are under way go back to Pub/Sub.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from emulators.platform.files import InUse
from emulators.platform.issuer import Client
from emulators.platform.service import Options, serving
from infra.declaration import DECLARATION


def parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m emulators.platform", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="HTTP; 0 takes a free one")
    parser.add_argument("--secrets-port", type=int, default=0, help="gRPC; 0 takes a free one")
    parser.add_argument("--smtp-port", type=int, default=0, help="mail; 0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, help="folder that keeps everything")
    parser.add_argument("--project", required=True)
    parser.add_argument("--pubsub", required=True, help="HOST:PORT of a Pub/Sub emulator")
    parser.add_argument(
        "--function",
        type=_function,
        action="append",
        default=[],
        metavar="NAME=URL",
        help="where a declared function serves",
    )
    parser.add_argument("--client", default="", help="id of who may ask the issuer of identities")
    parser.add_argument("--client-secret", default="")
    parser.add_argument(
        "--redirect", action="append", default=[], help="where people are sent back to"
    )
    parser.add_argument("--admin", action="store_true", help="serve /_emulator's switches")
    given = parser.parse_args(arguments)
    return Options(
        data=given.data,
        project=given.project,
        pubsub=given.pubsub,
        functions=dict(given.function),
        host=given.host,
        port=given.port,
        secrets_port=given.secrets_port,
        smtp_port=given.smtp_port,
        admin=given.admin,
        client=Client(given.client, given.client_secret, tuple(given.redirect)),
    )


def _function(text: str) -> tuple[str, str]:
    name, _, url = text.partition("=")
    if name not in DECLARATION.function_by_name:
        raise argparse.ArgumentTypeError(f"{name} is no declared function")
    if not url.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{url} is no URL")
    return name, url


async def serve(options: Options) -> int:
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    try:
        async with serving(options) as platform:
            where = f"{platform.url} secrets {platform.secrets} mail {platform.mail}"
            print(f"listening {where}", flush=True)
            end = asyncio.create_task(ending.wait())
            await asyncio.wait({end, platform.background}, return_when=asyncio.FIRST_COMPLETED)
            end.cancel()
            if platform.background.done():
                # A part that broke takes the process with it, where the supervisor sees it.
                platform.background.result()
    except (InUse, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(serve(parse(sys.argv[1:]))))
