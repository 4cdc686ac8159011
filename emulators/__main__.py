"""`python -m emulators up|status|logs|reset|doctor`: the local cloud's command line."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp

from emulators import official, scanner
from emulators.journal import Journal
from emulators.plan import ROOT, Plan

_FOLLOW_EVERY = 0.2


def main(arguments: list[str]) -> int:
    options = _parse(arguments)
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "up": up,
        "status": status,
        "logs": logs,
        "reset": reset,
        "doctor": doctor,
    }
    try:
        return commands[options.command](options)
    except official.Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m emulators", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / ".local", help="the state's folder")
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start it; Ctrl-C stops it")
    starting.add_argument("--free-ports", action="store_true", help="beside another one")
    starting.add_argument("--no-reload", action="store_true", help="ignore changed code")
    commands.add_parser("status", help="ask every part whether it serves")
    commands.add_parser("logs", help="follow the log")
    commands.add_parser("reset", help="delete the state")
    commands.add_parser("doctor", help="say what this machine lacks")
    return parser.parse_args(arguments)


def up(options: argparse.Namespace) -> int:
    data: Path = options.data
    if Plan.running(data):
        return _refuse(f"A local cloud runs on {data} already")
    plan = Plan.on_free_ports(data) if options.free_ports else Plan.usual(data)
    taken = [f"{port} (for {name})" for name, port in plan.taken_ports()]
    if taken:
        return _refuse(
            f"These ports are in use: {', '.join(taken)}. End what listens there, or start with "
            "`python -m emulators up --free-ports`."
        )
    # Imported late, so that every other command answers at once.
    from emulators.supervisor import Supervisor

    journal = Journal(data / "log")
    try:
        return asyncio.run(Supervisor(plan, journal, reload=not options.no_reload).run())
    finally:
        journal.close()


def status(options: argparse.Namespace) -> int:
    running = Plan.running(options.data)
    if running is None:
        return _refuse("No local cloud is running here; `make dev` starts it")
    return asyncio.run(_status(running[0]))


async def _status(plan: Plan) -> int:
    from emulators.parts import parts
    from emulators.process import is_healthy

    wanted = parts(plan, None)
    async with aiohttp.ClientSession() as session:
        healthy = await asyncio.gather(*(is_healthy(part, session) for part in wanted))
    for part, serves in zip(wanted, healthy, strict=True):
        print(f"{part.name:<12} {'serves' if serves else 'DOES NOT SERVE':<15} {part.health}")
    return 0 if all(healthy) else 1


def logs(options: argparse.Namespace) -> int:
    """The last lines, then what comes, until Ctrl-C or the local cloud's end."""
    file: Path = options.data / "log"
    if not file.exists():
        return _refuse("There is no log yet; `make dev` starts the local cloud")
    with file.open(encoding="utf-8") as log:
        print("".join(log.readlines()[-50:]), end="")
        while True:
            line = log.readline()
            if line:
                print(line, end="", flush=True)
            elif Plan.running(options.data) is None:
                return 0
            else:
                time.sleep(_FOLLOW_EVERY)


def reset(options: argparse.Namespace) -> int:
    if Plan.running(options.data):
        return _refuse("Stop the local cloud first (Ctrl-C where it runs)")
    for name in ("storage", "platform", "firestore"):
        shutil.rmtree(options.data / name, ignore_errors=True)
    print(f"{options.data} is empty now, and so is the next `make dev`")
    return 0


def doctor(options: argparse.Namespace) -> int:
    from tools import browser

    findings = list(official.describe())
    chromium = browser.find()
    clamd = scanner.find()
    findings.append(("clamd", clamd or "missing; a stand-in takes its place", True))
    findings.append(("Chromium", chromium or "missing; only `make test` needs it", True))
    if Plan.running(options.data) is None:
        for name, port in Plan.usual(options.data).taken_ports():
            findings.append((f"port {port}", f"in use by another program; {name} needs it", False))
    for part, finding, fine in findings:
        print(f"{'ok ' if fine else 'NOT'} {part:<20} {finding}")
    return 0 if all(fine for _, _, fine in findings) else 1


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
