"""Secrets as versions that are listed and read at run time, so that rotating one is no deployment.

Spoken over Secret Manager's own gRPC methods with a timeout on each try and a budget for all of
them. Source: "Secret Manager RPC API", google.cloud.secretmanager.v1.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

import google.auth
import google.auth.transport.grpc
import google.auth.transport.urllib3
import grpc
import urllib3
from google.auth.exceptions import GoogleAuthError
from google.cloud.secretmanager_v1.types import resources, service

from shared.errors import Unavailable

_List = service.ListSecretVersionsRequest.pb()
_ListAnswer = service.ListSecretVersionsResponse.pb()
_Access = service.AccessSecretVersionRequest.pb()
_AccessAnswer = service.AccessSecretVersionResponse.pb()
_ENABLED = resources.SecretVersion.State.ENABLED

_TARGET = "secretmanager.googleapis.com:443"
_SERVICE = "/google.cloud.secretmanager.v1.SecretManagerService/"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# Seconds. A read takes 10-50 ms; two lost ones fit, and an outage is told within 3 s.
_TRY = 1.0
_BUDGET = 2.5
_PAUSE = 0.05
# Destroyed versions are listed too; one page holds more rotations than a decade has months.
_PAGE = 250
# An outage should end for us when it ends, not after gRPC's two minutes.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
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
        end = time.monotonic() + _BUDGET
        pause = _PAUSE
        while (left := end - time.monotonic()) > 0:
            try:
                return method(self._connected())(request, name, min(left, _TRY))
            except grpc.RpcError as error:
                code = error.code()
                if code in _GONE:
                    _log.error("secrets: %s is missing or disabled (%s)", name, code.name)
                    return None
                if code not in _TRANSIENT:
                    # A grant that is missing: our mistake, mended without a deployment.
                    _log.error("secrets: %s cannot be read (%s)", name, code.name)
                    break
            except GoogleAuthError as error:
                _log.error("secrets: no credentials (%s)", type(error).__name__)
                break
            rest = max(0.0, end - time.monotonic())
            time.sleep(min(pause * random.uniform(0.5, 1.5), rest))  # noqa: S311
            pause *= 2
        raise Unavailable("The secrets are out of reach") from None

    def _connected(self) -> _Methods:
        with self._lock:
            if self._methods is None:
                self._methods = _Methods(_channel())
            return self._methods


class _Methods:
    """The two methods in use, on one channel."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.list = self._method("ListSecretVersions", "parent", _ListAnswer)
        self.access = self._method("AccessSecretVersion", "name", _AccessAnswer)

    def _method(self, method: str, routed_by: str, answer: Any) -> Any:
        call = self.channel.unary_unary(
            _SERVICE + method,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )

        def send(request: Any, name: str, timeout: float) -> Any:
            routing = ("x-goog-request-params", f"{routed_by}={quote(name, safe='')}")
            return call(request, timeout=timeout, metadata=[routing])

        return send


def _channel() -> Any:
    emulator = os.environ.get("SECRET_MANAGER_EMULATOR_HOST")
    if emulator:
        return grpc.insecure_channel(emulator, options=_OPTIONS)
    credentials, _ = google.auth.default(scopes=[_SCOPE])
    transport = google.auth.transport.urllib3.Request(urllib3.PoolManager())  # type: ignore[no-untyped-call]
    return google.auth.transport.grpc.secure_authorized_channel(  # type: ignore[no-untyped-call]
        credentials, transport, _TARGET, options=_OPTIONS
    )


def _version(found: Any) -> SecretVersion:
    # The real service names the project by its number, so only the last part is told apart.
    stamp = found.create_time
    created = datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, UTC)
    return SecretVersion(found.name, int(found.name.rpartition("/")[2]), created)
