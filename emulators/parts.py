"""The processes of the local cloud: command, environment, and where each says that it serves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emulators import official, scanner
from emulators.gateway.app import WEB
from emulators.plan import HOST, OIDC_CLIENT, OIDC_SECRET, ROOT, Plan, python
from infra.declaration import DECLARATION, Function


@dataclass(frozen=True)
class Part:
    """`health` answers any status below 400 once the part serves (clamd:// is asked with a PING);
    `sources` are the folders
    whose change asks for a restart."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    health: str
    sources: tuple[Path, ...] = field(default=())


def parts(plan: Plan, restore: Path | None) -> list[Part]:
    """In the order in which they start; none needs another to start. `restore` is the export
    that Firestore begins with. Raises official.Missing."""
    ours = {**os.environ, "PYTHONPATH": str(ROOT)}
    database = official.firestore(plan.ports["firestore"], project=plan.project, restore=restore)
    return [
        Part("firestore", database, os.environ, plan.url("firestore")),
        Part("pubsub", official.pubsub(plan.ports["pubsub"]), os.environ, plan.url("pubsub")),
        Part("storage", _storage(plan), ours, f"{plan.url('storage')}/_emulator/health"),
        Part("platform", _platform(plan), ours, f"{plan.url('platform')}/_emulator/health"),
        Part("scanner", _scanner(plan), ours, f"clamd://{plan.address('scanner')}"),
        *(_function(plan, function) for function in DECLARATION.functions),
        # What the app's build leaves has other names each time.
        Part("gateway", _gateway(plan), ours, f"{plan.url('gateway')}/health", (WEB,)),
    ]


def _scanner(plan: Plan) -> list[str]:
    return scanner.command(plan.ports["scanner"], plan.data / "scanner")


def _storage(plan: Plan) -> list[str]:
    certificates = f"{plan.url('platform')}/service_accounts/v1/metadata/x509"
    command = python("-m", "emulators.storage", f"--host={HOST}", "--admin")
    command += [f"--port={plan.ports['storage']}", f"--data={plan.data / 'storage'}"]
    return [*command, f"--certs={certificates}", f"--pubsub={plan.address('pubsub')}"]


def _platform(plan: Plan) -> list[str]:
    command = python("-m", "emulators.platform", f"--host={HOST}", "--admin")
    command += [f"--port={plan.ports['platform']}", f"--secrets-port={plan.ports['secrets']}"]
    command += [f"--smtp-port={plan.ports['smtp']}"]
    command += [f"--data={plan.data / 'platform'}", f"--project={plan.project}"]
    command += [f"--pubsub={plan.address('pubsub')}"]
    command += [f"--client={OIDC_CLIENT}", f"--client-secret={OIDC_SECRET}"]
    command += [f"--redirect={origin}/signed-in" for origin in plan.origins]
    return command + [f"--function={f.name}={plan.url(f.name)}" for f in DECLARATION.functions]


def _gateway(plan: Plan) -> list[str]:
    command = python("-m", "emulators.gateway", f"--host={HOST}")
    command += [f"--port={plan.ports['gateway']}"]
    stored = [f"{plan.url('storage')}/{plan.bucket(one.name)}/" for one in DECLARATION.buckets]
    command += [f"--bucket={url}" for url in stored]
    routed = [function for function in DECLARATION.functions if function.route]
    return command + [f"--route={f.route}={plan.url(f.name)}" for f in routed]


def _function(plan: Plan, function: Function) -> Part:
    """As the buildpack's image runs it: functions-framework, which serves with gunicorn."""
    source = ROOT / "functions" / function.name
    # gunicorn makes a socket to be controlled by, under one name for all unless told otherwise.
    runtime = plan.data / "run" / function.name
    runtime.mkdir(parents=True, exist_ok=True)
    command = python("-m", "functions_framework", f"--host={HOST}")
    command += [f"--source={source / 'main.py'}"]
    return Part(
        function.name,
        command,
        {**plan.environment(function), "XDG_RUNTIME_DIR": str(runtime)},
        f"{plan.url(function.name)}/health",
        (source, ROOT / "shared"),
    )
