"""`python -m emulators.gateway`: stands for the load balancer and its URL map."""

from __future__ import annotations

import argparse
import sys

from aiohttp import web

from emulators.gateway.app import make_app


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--bucket", action="append", default=[], metavar="URL", help="where pictures go and lie"
    )
    parser.add_argument("--route", action="append", default=[], metavar="PREFIX=URL")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    routes = dict(route.split("=", 1) for route in options.route)
    app = make_app(routes, buckets=options.bucket)
    web.run_app(app, host=options.host, port=options.port, print=None, access_log=None)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
