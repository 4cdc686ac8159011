"""Secrets as versions that are listed and read at run time, so that rotating one is no deployment.

Spoken over Secret Manager's own gRPC methods with a timeout on each try and a budget for all of
them. Source: "Secret Manager RPC API", google.cloud.secretmanager.v1.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

import grpc

from shared.errors import Unavailable
from shared.grpc_api import Tries, make_channel, messages, unary

resources = messages("google.cloud.secretmanager_v1", "resources")
service = messages("google.cloud.secretmanager_v1", "service")
_List = service.ListSecretVersionsRequest.pb()
_ListAnswer = service.ListSecretVersionsResponse.pb()
_Access = service.AccessSecretVersionRequest.pb()
_AccessAnswer = service.AccessSecretVersionResponse.pb()
_ENABLED = resources.SecretVersion.State.ENABLED

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
    """An enabled version; `name` is its resource name, `number` counts up from 1."""

    name: str
    number: int
    created: datetime


class Secrets(Protocol):
    """Both raise Unavailable when the secrets are out of reach."""

    def versions(self, secret: str) -> list[SecretVersion]:
        """The enabled versions of `projects/P/secrets/S`, the newest first."""
        ...

    def access(self, version: str) -> bytes | None:
        """A version's payload, which never changes; None when it was disabled meanwhile."""
        ...


class MemorySecrets:
    """`broken` makes it refuse, as Secret Manager out of reach would; `reads` counts calls."""

    def __init__(self) -> None:
        self.broken = False
        self.reads = 0
        self._payloads: dict[str, bytes] = {}
        self._versions: dict[str, list[SecretVersion]] = {}
        self._counts: dict[str, int] = {}

    def add(self, secret: str, payload: bytes, created: datetime) -> SecretVersion:
        number = self._counts[secret] = self._counts.get(secret, 0) + 1
        version = SecretVersion(f"{secret}/versions/{number}", number, created)
        self._versions.setdefault(secret, []).insert(0, version)
        self._payloads[version.name] = payload
        return version

    def disable(self, version: SecretVersion) -> None:
        del self._payloads[version.name]
        self._versions[version.name.partition("/versions/")[0]].remove(version)

    def versions(self, secret: str) -> list[SecretVersion]:
        self._read()
        return list(self._versions.get(secret, ()))

    def access(self, version: str) -> bytes | None:
        self._read()
        return self._payloads.get(version)

    def _read(self) -> None:
        self.reads += 1
        if self.broken:
            raise Unavailable


class SecretManager:
    """Secret Manager of the cloud; with SECRET_MANAGER_EMULATOR_HOST set, the local one's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._methods: _Methods | None = None

    def versions(self, secret: str) -> list[SecretVersion]:
        request = _List(parent=secret, page_size=_PAGE)
        found: list[Any] = []
        while True:
            answer = self._call(lambda methods: methods.list, request, secret)
            if answer is None:
                raise Unavailable("A secret is missing")
            found += [one for one in answer.versions if one.state == _ENABLED]
            if not answer.next_page_token:
                return sorted(map(_version, found), key=lambda one: one.number, reverse=True)
            request.page_token = answer.next_page_token

    def access(self, version: str) -> bytes | None:
        answer = self._call(lambda methods: methods.access, _Access(name=version), version)
        return None if answer is None else bytes(answer.payload.data)

    def close(self) -> None:
        with self._lock:
            if self._methods is not None:
                self._methods.channel.close()
                self._methods = None

    def _call(self, method: Callable[[_Methods], Any], request: Any, name: str) -> Any | None:
        """The answer; None when there is nothing by that name (any more)."""
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
    """The two methods in use, on one channel."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.list = self._method("ListSecretVersions", "parent", _ListAnswer)
        self.access = self._method("AccessSecretVersion", "name", _AccessAnswer)

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
    return SecretVersion(found.name, int(found.name.rpartition("/")[2]), created)
