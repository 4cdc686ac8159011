"""Look after the keys by hand: `python -m tools.keys list | rotate NAME | retire NAME NUMBER`.

Works on the local cloud that runs (`--data`, as `make dev` has it), or on a project of your own
with your own credentials (`--project`). The schedule `rotate-keys` does all of it by itself; this
is for a key that got out: `rotate`, and a quarter of an hour later, when the new one signs,
`retire` the old one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service import transports

from emulators.plan import ROOT, Plan
from infra.declaration import DECLARATION
from shared.identity.rotation import KeyRotation, Policy, mac_policy, signing_policy
from shared.secrets import SecretVersion, SecretVersions, State

# What others gave us (a password of theirs) is not ours to make anew.
NAMES = tuple(secret.name for secret in DECLARATION.secrets if secret.managers)
_STATES: dict[str, State] = {"ENABLED": "enabled", "DISABLED": "disabled"}


class Refused(Exception):
    """What was asked for would do harm; the message says which."""


class OfficialVersions:
    """shared.secrets.SecretVersions by the official client, which knows a person's credentials."""

    def __init__(self, client: SecretManagerServiceClient) -> None:
        self._client = client

    def history(self, secret: str) -> list[SecretVersion]:
        found = map(_version, self._client.list_secret_versions(parent=secret))
        return sorted(found, key=lambda one: one.number, reverse=True)

    def add(self, secret: str, payload: bytes) -> SecretVersion:
        # A second try of a lost first one would be a second version.
        request = {"parent": secret, "payload": {"data": payload}}
        made = self._client.add_secret_version(request=request, retry=None, timeout=10)
        return _version(made)

    def disable(self, version: SecretVersion) -> None:
        self._client.disable_secret_version(name=version.name)

    def destroy(self, version: SecretVersion) -> None:
        self._client.destroy_secret_version(name=version.name)


class Keys:
    """The commands, on the secrets of one project."""

    def __init__(
        self,
        versions: SecretVersions,
        project: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._versions = versions
        self._project = project
        self._clock = clock
        self._rotation = KeyRotation(versions, (), clock)

    def list(self) -> Iterator[str]:
        for name in NAMES:
            history = self._versions.history(self._secret(name))
            signs = self._rotation.signing(history)
            for one in history:
                age = (self._clock() - one.created).days
                mark = " signs" if one == signs else ""
                yield f"{name:<12} {one.number:>3} {one.state:<9} {age:>4} d{mark}"

    def rotate(self, name: str) -> Iterator[str]:
        policy, history = self._policy(name), self._versions.history(self._secret(name))
        added = self._rotation.publish(policy, history)
        if added is None:
            raise Refused("Somebody else rotates it at this moment")
        yield f"{name} {added.number} is published; it signs as soon as everybody knows it"

    def retire(self, name: str, number: int, *, force: bool) -> Iterator[str]:
        policy, history = self._policy(name), self._versions.history(self._secret(name))
        found = [one for one in history if one.number == number and one.state == "enabled"]
        if not found:
            raise Refused(f"{name} has no enabled version {number}")
        if not force:
            self._check(policy, history, found[0])
        self._versions.disable(found[0])
        yield f"{name} {number} is disabled; functions forget it within five minutes"

    def _check(self, policy: Policy, history: Sequence[SecretVersion], one: SecretVersion) -> None:
        signs = self._rotation.signing(history)
        if signs is None or one.number >= signs.number:
            raise Refused("No newer version signs yet; disabled now, nobody could sign in")
        if one not in self._rotation.retirable(policy, history):
            raise Refused(
                "What it made is still in use: the schedule `rotate-keys` disables it when that "
                "ends. With --force it goes now: whoever has something of it signs in again, and "
                "addresses that only it can find are unknown until it is enabled again"
            )

    def _policy(self, name: str) -> Policy:
        if name not in NAMES:
            raise Refused(f"There is no secret {name}; there are {', '.join(NAMES)}")
        secret = self._secret(name)
        # Whether every address is claimed anew, only the schedule's function can tell.
        return (
            mac_policy(secret, lambda _: False) if name == "token-hmac" else signing_policy(secret)
        )

    def _secret(self, name: str) -> str:
        return f"projects/{self._project}/secrets/{name}"


@contextmanager
def connected(project: str | None, data: Path) -> Iterator[Keys]:
    """Raises Refused when no local cloud runs and no project is named."""
    if project is not None:
        yield Keys(OfficialVersions(SecretManagerServiceClient()), project)
        return
    running = Plan.running(data)
    if running is None:
        raise Refused(f"No local cloud runs on {data}; start `make dev`, or name a --project")
    plan, _ = running
    with grpc.insecure_channel(plan.address("secrets")) as channel:
        transport = transports.SecretManagerServiceGrpcTransport(channel=channel)
        client = SecretManagerServiceClient(transport=transport)
        yield Keys(OfficialVersions(client), plan.project)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        with connected(options.project, options.data) as keys:
            for line in options.command(keys, options):
                print(line)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.keys", description=__doc__)
    parser.add_argument("--project", help="a Google Cloud project instead of the local cloud")
    parser.add_argument("--data", type=Path, default=ROOT / ".local", help="the local cloud's")
    commands = parser.add_subparsers(required=True)
    every = commands.add_parser("list", help="every version, its state, its age, which one signs")
    every.set_defaults(command=lambda keys, _: keys.list())
    rotate = commands.add_parser("rotate", help="publish a new version now")
    rotate.add_argument("name", metavar="NAME", help=" or ".join(NAMES))
    rotate.set_defaults(command=lambda keys, given: keys.rotate(given.name))
    retire = commands.add_parser("retire", help="disable a version now")
    retire.add_argument("name", metavar="NAME")
    retire.add_argument("number", metavar="NUMBER", type=int)
    retire.add_argument("--force", action="store_true", help="even if it is still in use")
    retire.set_defaults(
        command=lambda keys, given: keys.retire(given.name, given.number, force=given.force)
    )
    return parser


def _version(found: Any) -> SecretVersion:
    state = _STATES.get(found.state.name, "destroyed")
    return SecretVersion(found.name, int(found.name.rpartition("/")[2]), found.create_time, state)


if __name__ == "__main__":
    sys.exit(main())
