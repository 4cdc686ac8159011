"""Layers (a) and (b) over many programs at once, each in a fork of one warm process.

Runs inside the program's virtual environment: [{"root", "stack", "config"}] on stdin, a list of
{"resources", "error", "schema"} on stdout.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

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
    return {**told, "schema": schema.findings(told["resources"])}


def in_a_fork(wanted: dict[str, Any]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("r+") as answer:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                Path(answer.name).write_text(json.dumps(judged(wanted)))
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if status:
            return {
                "resources": [],
                "error": f"the program's process ended with {status}",
                "schema": [],
            }
        return json.load(answer)


def warmed(first: dict[str, Any]) -> None:
    """Loads what every fork needs: the SDK's classes, their types, the bundles."""
    for area in _AREAS.split():
        getattr(pulumi_gcp, area)
    for name in bundle.functions():
        bundle.bundle(name)
    schema.findings(in_a_fork(first)["resources"])


def main() -> None:
    output, sys.stdout = sys.stdout, sys.stderr
    asked = json.load(sys.stdin)
    warmed(asked[0])
    json.dump([in_a_fork(one) for one in asked], output)


if __name__ == "__main__":
    main()
