"""Secrets as versions that are listed and read at run time, so that rotating one is no deployment.

Spoken over Secret Manager's own gRPC methods with a timeout on each try and a budget for all of
them. Source: "Secret Manager RPC API", google.cloud.secretmanager.v1.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from urllib.parse import quote

import grpc

from shared.errors import Unavailable
from shared.grpc_api import Tries, make_channel, messages, unary

State = Literal["enabled", "disabled", "destroyed"]
resources = messages("google.cloud.secretmanager_v1", "resources")
service = messages("google.cloud.secretmanager_v1", "service")
_List = service.ListSecretVersionsRequest.pb()
_ListAnswer = service.ListSecretVersionsResponse.pb()
_Add = service.AddSecretVersionRequest.pb()
_Version = resources.SecretVersion.pb()
_Disable = service.DisableSecretVersionRequest.pb()
_Destroy = service.DestroySecretVersionRequest.pb()
_Access = service.AccessSecretVersionRequest.pb()
_AccessAnswer = service.AccessSecretVersionResponse.pb()
_STATES: dict[int, State] = {1: "enabled", 2: "disabled", 3: "destroyed"}

_EMULATOR = "SECRET_MANAGER_EMULATOR_HOST"
_TARGET = "secretmanager.googleapis.com:443"
_SERVICE = "/google.cloud.secretmanager.v1.SecretManagerService/"
# Seconds. A read takes 10-50 ms; two lost ones fit, and an outage is told within 3 s.
_TRY = 1.0
_BUDGET = 2.5
# Destroyed versions are listed too; one page holds more rotations than a decade has months.
_PAGE = 250
_GONE = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """`name` is its resource name, `number` counts up from 1 and is never used again."""

    name: str
    number: int
    created: datetime
    state: State = "enabled"


class Secrets(Protocol):
    """Both raise Unavailable when the secrets are out of reach."""

    def versions(self, secret: str) -> list[SecretVersion]:
        """The enabled versions of `projects/P/secrets/S`, the newest first."""
        ...

    def access(self, version: str) -> bytes | None:
        """A version's payload, which never changes; None when it was disabled meanwhile."""
        ...


class SecretVersions(Protocol):
    """What changes them, for whoever rotates. All raise Unavailable when the secrets are out of
    reach; `add` may have added one then, which `history` will tell."""

    def history(self, secret: str) -> list[SecretVersion]:
        """All there ever were, whatever their state, the newest first."""
        ...

    def add(self, secret: str, payload: bytes) -> SecretVersion: ...

    def disable(self, version: SecretVersion) -> None:
        """Nobody reads it any more, until it is enabled by hand; done twice it is no error."""
        ...

    def destroy(self, version: SecretVersion) -> None:
        """Its payload is gone for ever; done twice it is no error."""
        ...


class MemorySecrets:
    """`broken` makes it refuse, as Secret Manager out of reach would; `reads` counts calls."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.broken = False
        self.reads = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._payloads: dict[str, bytes] = {}
        self._versions: dict[str, list[SecretVersion]] = {}

    def add(self, secret: str, payload: bytes, created: datetime | None = None) -> SecretVersion:
        self._check()
        with self._lock:
            versions = self._versions.setdefault(secret, [])
            number = len(versions) + 1
            name = f"{secret}/versions/{number}"
            version = SecretVersion(name, number, created or self._clock())
            versions.insert(0, version)
            self._payloads[name] = payload
            return version

    def disable(self, version: SecretVersion) -> None:
        self._change(version, "disabled")

    def destroy(self, version: SecretVersion) -> None:
        self._change(version, "destroyed")
        self._payloads.pop(version.name, None)

    def history(self, secret: str) -> list[SecretVersion]:
        self._check()
        return list(self._versions.get(secret, ()))

    def versions(self, secret: str) -> list[SecretVersion]:
        self.reads += 1
        return [one for one in self.history(secret) if one.state == "enabled"]

    def access(self, version: str) -> bytes | None:
        self.reads += 1
        self._check()
        secret = version.partition("/versions/")[0]
        enabled = {one.name for one in self._versions.get(secret, ()) if one.state == "enabled"}
        return self._payloads.get(version) if version in enabled else None

    def _change(self, version: SecretVersion, state: State) -> None:
        self._check()
        with self._lock:
            versions = self._versions[version.name.partition("/versions/")[0]]
            versions[len(versions) - version.number] = replace(version, state=state)

    def _check(self) -> None:
        if self.broken:
            raise Unavailable


class SecretManager:
    """Secret Manager of the cloud; with SECRET_MANAGER_EMULATOR_HOST set, the local one's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._methods: _Methods | None = None

    def versions(self, secret: str) -> list[SecretVersion]:
        return [one for one in self.history(secret) if one.state == "enabled"]

    def history(self, secret: str) -> list[SecretVersion]:
        request = _List(parent=secret, page_size=_PAGE)
        found: list[Any] = []
        while True:
            answer = self._call(lambda methods: methods.list, request, secret)
            if answer is None:
                raise Unavailable("A secret is missing")
            found += [one for one in answer.versions if one.state in _STATES]
            if not answer.next_page_token:
                return sorted(map(_version, found), key=lambda one: one.number, reverse=True)
            request.page_token = answer.next_page_token

    def access(self, version: str) -> bytes | None:
        answer = self._call(lambda methods: methods.access, _Access(name=version), version)
        return None if answer is None else bytes(answer.payload.data)

    def add(self, secret: str, payload: bytes) -> SecretVersion:
        """Sent once: the service has no way to tell a second try from a second version."""
        request = _Add(parent=secret, payload={"data": payload})
        answer = self._call(lambda methods: methods.add, request, secret, once=True)
        if answer is None:
            raise Unavailable("A secret is missing")
        return _version(answer)

    def disable(self, version: SecretVersion) -> None:
        self._call(lambda methods: methods.disable, _Disable(name=version.name), version.name)

    def destroy(self, version: SecretVersion) -> None:
        self._call(lambda methods: methods.destroy, _Destroy(name=version.name), version.name)

    def close(self) -> None:
        with self._lock:
            if self._methods is not None:
                self._methods.channel.close()
                self._methods = None

    def _call(
        self, method: Callable[[_Methods], Any], request: Any, name: str, *, once: bool = False
    ) -> Any | None:
        """The answer; None when there is nothing by that name (any more), or it is in that state
        already."""
        tries = Tries(_BUDGET, _TRY)
        try:
            for left in tries:
                try:
                    return method(self._connected())(request, name, left)
                except grpc.RpcError as error:
                    if error.code() in _GONE:
                        _log.error("secrets: %s is missing or disabled", name)
                        return None
                    tries.note(error)
                    if once:
                        break
        except grpc.RpcError as error:
            # A grant that is missing: our mistake, mended without a deployment.
            _log.error("secrets: %s cannot be read (%s)", name, error.code().name)
        raise Unavailable("The secrets are out of reach") from None

    def _connected(self) -> _Methods:
        with self._lock:
            if self._methods is None:
                self._methods = _Methods(make_channel(_TARGET, _EMULATOR))
            return self._methods


class _Methods:
    """The methods in use, on one channel."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.list = self._method("ListSecretVersions", "parent", _ListAnswer)
        self.access = self._method("AccessSecretVersion", "name", _AccessAnswer)
        self.add = self._method("AddSecretVersion", "parent", _Version)
        self.disable = self._method("DisableSecretVersion", "name", _Version)
        self.destroy = self._method("DestroySecretVersion", "name", _Version)

    def _method(self, method: str, routed_by: str, answer: Any) -> Any:
        call = unary(self.channel, _SERVICE + method, answer)

        def send(request: Any, name: str, timeout: float) -> Any:
            routing = ("x-goog-request-params", f"{routed_by}={quote(name, safe='')}")
            return call(request, timeout=timeout, metadata=[routing])

        return send


def _version(found: Any) -> SecretVersion:
    # The real service names the project by its number, so only the last part is told apart.
    stamp = found.create_time
    created = datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, UTC)
    number = int(found.name.rpartition("/")[2])
    return SecretVersion(found.name, number, created, _STATES.get(found.state, "destroyed"))
