"""Layers (a), (b) and (d) over many programs at once, each in forks of one warm process.

Runs inside the program's virtual environment: [{"root", "stack", "config"}] on stdin, a list of
{"resources", "error", "schema", "hook", "preview"} on stdout.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine
import failures
import monitor
import pulumi_gcp
import schema

from tools import bundle

_AREAS = (
    "billing cloudfunctionsv2 cloudrunv2 cloudscheduler compute firestore iam logging monitoring "
    "organizations projects pubsub secretmanager serviceaccount storage"
)


def judged(wanted: dict[str, Any]) -> dict[str, Any]:
    told = monitor.record(Path(wanted["root"]), wanted["stack"], wanted["config"])
    hook = failures.findings(Path(wanted["root"]))
    return {**told, "schema": schema.findings(told["resources"]), "hook": hook}


def previewed(wanted: dict[str, Any]) -> dict[str, Any]:
    """What the engine was told; of a resource no more than its name is needed. The program's
    process begins first, since a process that serves gRPC must not fork."""
    root, config = Path(wanted["root"]), wanted["config"]
    read, write = os.pipe()
    child = Fork(lambda: program(root, config, read), "the program's process ended")

    def answered(root: Path, arguments: list[str], environment: dict[str, str]) -> str:
        os.write(write, json.dumps(arguments).encode() + b"\n")
        return str(child.answer())

    told = engine.run(root, wanted["stack"], config, True, answered)
    names = [[one["type"], one["name"]] for one in told.pop("resources")]
    return {**told, "names": names}


def program(root: Path, config: dict[str, str], read: int) -> str:
    """Runs the program as soon as it is told where its engine is; returns what went wrong."""
    with os.fdopen(read) as told:
        sys.argv = ["-c", *json.loads(told.readline())]
    # The CLI hands over no path of ours.
    ours = (str(engine.HERE), str(engine.HERE.parents[1]))
    sys.path[:] = [one for one in sys.path if one not in ours]
    os.chdir(root / "infra")
    os.environ["PULUMI_CONFIG"] = json.dumps(config)
    try:
        exec(engine.PROGRAM, {"__name__": "__main__"})
    except BaseException:  # noqa: BLE001 - whatever it is, it is what went wrong.
        return traceback.format_exc()
    return ""


class Fork:
    """A process that does `work`; its answer is `ended` when it does not live to give one."""

    def __init__(self, work: Callable[[], Any], ended: Any) -> None:
        self._ended = ended
        self._file = tempfile.NamedTemporaryFile("r+")  # noqa: SIM115 - `answer` closes it.
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                Path(self._file.name).write_text(json.dumps(work()))
                code = 0
            finally:
                os._exit(code)

    def answer(self) -> Any:
        with self._file:
            _, status = os.waitpid(self._child, 0)
            return self._ended if status else json.load(self._file)


def in_a_fork(work: Callable[[], Any], ended: Any) -> Any:
    return Fork(work, ended).answer()


def both(wanted: dict[str, Any]) -> dict[str, Any]:
    gone = {"resources": [], "error": "the program's process ended", "schema": [], "hook": []}
    missed = {
        "error": "the engine's process ended",
        "logged": [],
        "hooks": [],
        "names": [],
        "outputs": {},
    }
    preview = Fork(lambda: previewed(wanted), missed)
    return {**in_a_fork(lambda: judged(wanted), gone), "preview": preview.answer()}


def warmed(first: dict[str, Any]) -> None:
    """Loads what every fork needs: the SDK's classes, their types, the bundles. These are the
    same for all programs, and making one anew is half of a program's time."""
    for area in _AREAS.split():
        getattr(pulumi_gcp, area)
    bundle.bundle = functools.cache(bundle.bundle)
    for name in bundle.functions():
        bundle.bundle(name)
    schema.findings(in_a_fork(lambda: judged(first), {"resources": []})["resources"])
    # A collection in a fork would copy the whole of the SDK's classes.
    gc.disable()
    gc.freeze()


def main() -> None:
    output, sys.stdout = sys.stdout, sys.stderr
    asked = json.load(sys.stdin)
    warmed(asked[0])
    json.dump([both(one) for one in asked], output)


if __name__ == "__main__":
    main()
