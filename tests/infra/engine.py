"""Layer (d): an engine as `pulumi preview` and `pulumi up` bring one, spoken to over gRPC.

Runs inside the program's virtual environment: `python engine.py ROOT` with {"stack", "config",
"preview"} on stdin starts the program as the CLI does (a process of its own, in infra/, configured
by environment), answers it, and writes what was registered, logged and returned to stdout. In a
preview, what only Google knows is unknown. batch.py begins programs in
forks of its own, which spares them the import of the SDK.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import monitor as recorder
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, resource_pb2, resource_pb2_grpc

HERE = Path(__file__).parent
PROGRAM = """
import asyncio, runpy, sys
import pulumi, pulumi.runtime
from pulumi.runtime.stack import run_in_stack
monitor, stack, preview, root = sys.argv[1:5]
pulumi.runtime.configure(pulumi.runtime.Settings(
    project="snaptask", stack=stack, monitor=monitor, engine=monitor, parallel=16,
    dry_run=preview == "true", organization="organization", root_directory=root))
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
loop.run_until_complete(run_in_stack(lambda: runpy.run_path(".", run_name="__main__")))
"""


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    def __init__(self, stack: str, project: str, preview: bool) -> None:
        self.project = project
        self.stack = stack
        self.preview = preview
        self.recorded: list[dict[str, Any]] = []
        self.outputs: dict[str, Any] = {}
        self.hooks: list[str] = []

    def GetDeploymentInfo(self, request: Any, context: Any) -> Any:
        values = resource_pb2.ResourceMonitorFeature.values()
        return resource_pb2.DeploymentInfo(supportedFeatures=values)

    def SupportsFeature(self, request: Any, context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=True)

    def RegisterErrorHook(self, request: Any, context: Any) -> Any:
        self.hooks.append(request.name)
        return empty_pb2.Empty()

    def RegisterResource(self, request: Any, context: Any) -> Any:
        urn = self._urn(request)
        if any(one["urn"] == urn for one in self.recorded):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Duplicate resource URN '{urn}'")
        self.recorded.append(recorder.described(urn, request))
        inputs = json_format.MessageToDict(request.object)
        if not request.custom:
            return resource_pb2.RegisterResourceResponse(urn=urn, object=request.object)
        identity, outputs = recorder.answered(request.type, request.name, inputs, self.project)
        known = {**inputs, **outputs}
        if self.preview:
            known, identity = unknown(inputs, known), ""
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=_struct(known))

    def RegisterResourceOutputs(self, request: Any, context: Any) -> Any:
        if "pulumi:pulumi:Stack::" in request.urn:
            self.outputs = json_format.MessageToDict(request.outputs)
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        arguments = json_format.MessageToDict(request.args)
        found = recorder.called(request.tok, arguments)
        return resource_pb2.ResourceInvokeResponse(**{"return": _struct(found)})

    def SignalAndWaitForShutdown(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def RegisterPackage(self, request: Any, context: Any) -> Any:
        return resource_pb2.RegisterPackageResponse(ref="package")

    def _urn(self, request: Any) -> str:
        kind = request.type
        if request.parent and not request.parent.split("::")[2].endswith("pulumi:Stack"):
            kind = f"{request.parent.split('::')[2]}${kind}"
        return "::".join([f"urn:pulumi:{self.stack}", "snaptask", kind, request.name])


class Engine(engine_pb2_grpc.EngineServicer):
    def __init__(self) -> None:
        self.logged: list[str] = []
        self.root = ""

    def Log(self, request: Any, context: Any) -> Any:
        if request.severity >= engine_pb2.WARNING:
            self.logged.append(request.message)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: Any) -> Any:
        return engine_pb2.GetRootResourceResponse(urn=self.root)

    def SetRootResource(self, request: Any, context: Any) -> Any:
        self.root = request.urn
        return engine_pb2.SetRootResourceResponse()


def unknown(inputs: Any, outputs: Any) -> Any:
    """`outputs` with everything that the program did not say itself made unknown."""
    if isinstance(outputs, dict):
        given = inputs if isinstance(inputs, dict) else {}
        return {name: unknown(given.get(name), value) for name, value in outputs.items()}
    return outputs if inputs is not None else rpc.UNKNOWN


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    return json_format.ParseDict(values, struct_pb2.Struct())


Program = Callable[[Path, list[str], dict[str, str]], str]


def run(
    root: Path, stack: str, config: dict[str, str], preview: bool, program: Program
) -> dict[str, Any]:
    monitor, engine = Monitor(stack, config["gcp:project"], preview), Engine()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(monitor, server)
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    arguments = [address, stack, "true" if preview else "false", str(root)]
    try:
        error = program(root, arguments, {"PULUMI_CONFIG": json.dumps(config)})
    finally:
        server.stop(None).wait()
    recorded = [one for one in monitor.recorded if one["type"] != "pulumi:pulumi:Stack"]
    return {
        "resources": sorted(recorded, key=lambda one: one["urn"]),
        "error": error,
        "logged": engine.logged,
        "outputs": monitor.outputs,
        "hooks": monitor.hooks,
    }


def started(root: Path, arguments: list[str], environment: dict[str, str]) -> str:
    """As the CLI does it: a new interpreter. Returns what went wrong."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=root / "infra",
        env={**kept, **environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return "" if done.returncode == 0 else done.stderr[-3000:] or "failed"


def main() -> None:
    wanted = json.load(sys.stdin)
    told = run(Path(sys.argv[1]), wanted["stack"], wanted["config"], wanted["preview"], started)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
