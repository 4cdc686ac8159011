"""Layer (a): runs the program under a monitor that records what the engine would be told.

Runs inside the program's own virtual environment, one process per run: `python monitor.py ROOT`
with {"stack", "config"} on stdin writes {"resources", "error"} to stdout. Unlike Pulumi's mocks it
keeps dependencies, protection and hooks, and refuses a URN that comes twice.
"""

from __future__ import annotations

import asyncio
import json
import runpy
import sys
import traceback
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import json_format
from pulumi.runtime import mocks, settings
from pulumi.runtime.stack import run_in_stack

# What Google would answer with: the outputs that other resources are made from.
_NUMBER = "123456789012"


class Answers(mocks.Mocks):
    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        project = pulumi.runtime.get_config("gcp:project")
        return answered(args.typ, args.name, dict(args.inputs), project)

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        return called(args.token, dict(args.args))


def answered(
    kind: str, name: str, inputs: dict[str, Any], project: str
) -> tuple[str, dict[str, Any]]:
    """Id and outputs of a created resource."""
    if kind == "gcp:serviceaccount/account:Account":
        email = f"{inputs.get('accountId')}@{project}.iam.gserviceaccount.com"
        path = f"projects/{project}/serviceAccounts/{email}"
        return path, {"email": email, "member": f"serviceAccount:{email}", "name": path}
    if kind == "gcp:projects/serviceIdentity:ServiceIdentity":
        service = str(inputs.get("service")).partition(".")[0]
        email = f"service-{_NUMBER}@gcp-sa-{service}.iam.gserviceaccount.com"
        return name, {"email": email, "member": f"serviceAccount:{email}"}
    if kind == "gcp:cloudfunctionsv2/function:Function":
        config = {**(inputs.get("serviceConfig") or {}), "uri": f"https://{name}-abc.a.run.app"}
        return name, {"name": inputs.get("name", name), "serviceConfig": config}
    if kind == "gcp:cloudrunv2/service:Service":
        return name, {"uri": f"https://{name}-abc.a.run.app"}
    if kind == "gcp:pubsub/topic:Topic":
        return f"projects/{project}/topics/{inputs.get('name')}", {}
    if kind == "gcp:iam/workloadIdentityPool:WorkloadIdentityPool":
        path = f"projects/{_NUMBER}/locations/global/workloadIdentityPools/github"
        return path, {"name": path}
    if kind.startswith("gcp:compute/"):
        link = f"https://www.googleapis.com/compute/v1/projects/{project}/global/{name}"
        return link, {"selfLink": link, "address": "203.0.113.7"}
    if kind.startswith("gcp:monitoring/"):
        return name, {"name": f"projects/{project}/{name}"}
    return name, {}


def called(token: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if token.endswith("getProjectServiceAccount"):
        email = f"service-{_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"
        return {
            **arguments,
            "emailAddress": email,
            "id": email,
            "member": f"serviceAccount:{email}",
        }
    if token.endswith("getProject:getProject"):
        return {**arguments, "number": _NUMBER, "id": arguments.get("projectId")}
    raise ValueError(f"unknown function {token}")


class Recorder(mocks.MockMonitor):
    def __init__(self) -> None:
        super().__init__(Answers())
        self.recorded: list[dict[str, Any]] = []

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if any(one["urn"] == urn for one in self.recorded):
            raise ValueError(f"Duplicate resource URN '{urn}'")
        self.recorded.append(described(urn, request))
        return super().RegisterResource(request)


def described(urn: str, request: Any) -> dict[str, Any]:
    """What a registration says, as plain data."""
    properties = {
        name: sorted(one.urns) for name, one in request.propertyDependencies.items() if one.urns
    }
    return {
        "urn": urn,
        "type": request.type,
        "name": request.name,
        "custom": request.custom,
        "parent": request.parent,
        "inputs": json_format.MessageToDict(request.object),
        "dependencies": sorted(request.dependencies),
        "property_dependencies": properties,
        "protect": request.protect,
        "retained": request.retainOnDelete,
        "on_error": list(request.hooks.on_error),
    }


def record(root: Path, stack: str, config: dict[str, str]) -> dict[str, Any]:
    monitor = Recorder()
    settings.ROOT.set(None)
    pulumi.runtime.set_all_config(config)
    settings.configure(
        settings.Settings(
            project="snaptask",
            stack=stack,
            monitor=monitor,
            engine=mocks.MockEngine(None),
            dry_run=False,
            organization="organization",
            root_directory=str(root),
        )
    )
    error = ""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run_in_stack(lambda: _run(root)))
    except BaseException as failure:  # noqa: BLE001 - whatever it is, it is the finding.
        error = "".join(traceback.format_exception(failure))
    recorded = [one for one in monitor.recorded if one["type"] != "pulumi:pulumi:Stack"]
    return {"resources": sorted(recorded, key=lambda one: one["urn"]), "error": error}


def _run(root: Path) -> None:
    sys.path.insert(0, str(root / "infra"))
    runpy.run_path(str(root / "infra" / "__main__.py"), run_name="__main__")


def main() -> None:
    wanted = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr
    json.dump(record(Path(sys.argv[1]), wanted["stack"], wanted["config"]), output)


if __name__ == "__main__":
    main()
