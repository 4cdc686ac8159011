"""Recorded programs as plain data: what the other layers look at."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from tests.fixtures import venvs
from tests.fixtures.sources import ROOT
from tools import web

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Resource:
    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    inputs: Mapping[str, Any]
    dependencies: Sequence[str]
    property_dependencies: Mapping[str, Sequence[str]]
    protect: bool
    retained: bool
    on_error: Sequence[str]

    @property
    def kind(self) -> str:
        """`Bucket` of `gcp:storage/bucket:Bucket`."""
        return self.type.rpartition(":")[2]

    @property
    def area(self) -> str:
        """`storage` of `gcp:storage/bucket:Bucket`."""
        return self.type.partition(":")[2].partition("/")[0]


@dataclass(frozen=True)
class Recording:
    config: Mapping[str, str]
    resources: Sequence[Resource]
    error: str = ""

    @classmethod
    def from_json(cls, config: Mapping[str, str], told: Mapping[str, Any]) -> Recording:
        return cls(config, [Resource(**one) for one in told["resources"]], told["error"])

    @cached_property
    def by_urn(self) -> dict[str, Resource]:
        return {one.urn: one for one in self.resources}

    def of(self, area: str, kind: str) -> list[Resource]:
        return [
            one for one in self.resources if one.custom and (one.area, one.kind) == (area, kind)
        ]

    @cached_property
    def _before(self) -> dict[str, set[str]]:
        return {}

    def before(self, resource: Resource) -> set[str]:
        """URNs of all that is made before `resource`, directly or through others."""
        known = self._before.get(resource.urn)
        if known is None:
            known = set()
            self._before[resource.urn] = known
            for urn in resource.dependencies:
                known.add(urn)
                if urn in self.by_urn:
                    known |= self.before(self.by_urn[urn])
        return known

    def texts(self, value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            for one in value.values():
                yield from self.texts(one)
        elif isinstance(value, list):
            for one in value:
                yield from self.texts(one)


def python() -> Path:
    """The interpreter of the environment that `pulumi up` would make."""
    return venvs.python_of({"requirements.txt": (ROOT / "infra/requirements.txt").read_bytes()})


def run(script: str, *arguments: str, told: Any, root: Path = ROOT) -> Any:
    _build_the_app()
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python(), HERE / script, *arguments],
        input=json.dumps(told),
        capture_output=True,
        text=True,
        env=environment,
        cwd=root / "infra",
        timeout=2000,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@cache
def _build_the_app() -> None:
    """The program puts web/dist into a bucket, and refuses one that is not of these sources."""
    web.build()


def recorded(config: Mapping[str, str], stack: str = "dev", root: Path = ROOT) -> Recording:
    told = run("monitor.py", str(root), told={"stack": stack, "config": config}, root=root)
    return Recording.from_json(config, told)


def members(recording: Recording) -> list[Resource]:
    return [one for one in recording.resources if "member" in one.inputs and one.custom]


def granted(recording: Recording, role: str, member: str, **on: str) -> list[Resource]:
    return [
        one
        for one in members(recording)
        if one.inputs.get("role") == role
        and one.inputs.get("member") == member
        and all(one.inputs.get(name) == value for name, value in on.items())
    ]


def preceded(
    recording: Recording, user: Resource, role: str, member: str, **on: str
) -> Iterator[str]:
    found = granted(recording, role, member, **on)
    if not found:
        yield f"{user.name}: nobody grants {role} to {member} on {on or 'the project'}"
    elif not any(one.urn in recording.before(user) for one in found):
        yield f"{user.name}: {role} for {member} is granted too late"


def uri_of(function: Resource) -> str:
    """As the recorder answers."""
    return f"https://{function.name}-abc.a.run.app"
