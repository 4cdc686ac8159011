"""Secret Manager over its own gRPC API, with the official protobuf messages.

Serves what a product needs of secrets and versions; UpdateSecret, IAM policies, regional secrets
and filters answer UNIMPLEMENTED. Whoever reaches the port may read, as there is no IAM here.
Names carry the project's id where the real service puts its number. Nothing is answered before it
is on the disk. Source: Google's "Secret Manager API" (google.cloud.secretmanager.v1).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import google_crc32c
import grpc
from google.cloud.secretmanager_v1 import types
from google.protobuf import empty_pb2

from emulators.platform.files import write_private

_SERVICE = "google.cloud.secretmanager.v1.SecretManagerService"
_SECRET_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_SECRET = re.compile(r"projects/([^/]+)/secrets/([A-Za-z0-9_-]{1,255})")
_VERSION = re.compile(rf"({_SECRET.pattern})/versions/(latest|[1-9][0-9]{{0,18}})")
# Bytes; "Secret Manager quotas and limits".
_LARGEST = 64 * 1024
_PAGE = 25_000
State: Any = types.SecretVersion.State
Code = grpc.StatusCode


class Refused(Exception):
    """Becomes the call's status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class Vault:
    """The secrets of one project, kept in one file. Methods raise Refused."""

    def __init__(self, path: Path, project: str) -> None:
        self._path = path
        self._project = project
        self._secrets = self._read()

    # Secrets

    def create(self, request: types.CreateSecretRequest) -> types.Secret:
        self._check_project(request.parent)
        if not _SECRET_ID.fullmatch(request.secret_id):
            raise Refused(Code.INVALID_ARGUMENT, "The secret id must match [A-Za-z0-9_-]{1,255}.")
        if "replication" not in request.secret:
            raise Refused(Code.INVALID_ARGUMENT, "Secret.replication must be set.")
        name = f"{request.parent}/secrets/{request.secret_id}"
        if name in self._secrets:
            raise Refused(Code.ALREADY_EXISTS, f"Secret [{name}] already exists.")
        secret = types.Secret(request.secret)
        secret.name, secret.create_time = name, datetime.now(UTC)
        self._secrets[name] = {"secret": json.loads(types.Secret.to_json(secret)), "versions": []}
        self._save()
        return self._shown(name)

    def get(self, request: types.GetSecretRequest) -> types.Secret:
        self._entry(request.name)
        return self._shown(request.name)

    def list(self, request: types.ListSecretsRequest) -> types.ListSecretsResponse:
        self._check_project(request.parent)
        names, following = _page(sorted(self._secrets), request)
        return types.ListSecretsResponse(
            secrets=[self._shown(name) for name in names],
            next_page_token=following,
            total_size=len(self._secrets),
        )

    def delete(self, request: types.DeleteSecretRequest) -> empty_pb2.Empty:
        self._entry(request.name)
        _check_etag(request.etag, self._shown(request.name).etag)
        del self._secrets[request.name]
        self._save()
        return empty_pb2.Empty()

    # Versions

    def add_version(self, request: types.AddSecretVersionRequest) -> types.SecretVersion:
        entry = self._entry(request.parent)
        data, checksum = request.payload.data, google_crc32c.value(request.payload.data)
        if not data:
            raise Refused(Code.INVALID_ARGUMENT, "Secret Payload cannot be empty.")
        if len(data) > _LARGEST:
            raise Refused(Code.INVALID_ARGUMENT, f"The payload is larger than {_LARGEST} bytes.")
        if "data_crc32c" in request.payload and request.payload.data_crc32c != checksum:
            raise Refused(Code.INVALID_ARGUMENT, "The payload's checksum does not match its data.")
        version = {
            "created": datetime.now(UTC).isoformat(),
            "state": State.ENABLED.name,
            "data": data.hex(),
        }
        entry["versions"].append(version)
        self._save()
        return self._version(f"{request.parent}/versions/{len(entry['versions'])}")[0]

    def get_version(self, request: types.GetSecretVersionRequest) -> types.SecretVersion:
        return self._version(request.name)[0]

    def list_versions(
        self, request: types.ListSecretVersionsRequest
    ) -> types.ListSecretVersionsResponse:
        count = len(self._entry(request.parent)["versions"])
        # Newest first, as the real service lists them.
        names = [f"{request.parent}/versions/{number}" for number in range(count, 0, -1)]
        page, following = _page(names, request)
        return types.ListSecretVersionsResponse(
            versions=[self._version(name)[0] for name in page],
            next_page_token=following,
            total_size=count,
        )

    def access(
        self, request: types.AccessSecretVersionRequest
    ) -> types.AccessSecretVersionResponse:
        version, kept = self._version(request.name)
        if version.state != State.ENABLED:
            raise Refused(
                Code.FAILED_PRECONDITION,
                f"Secret Version [{version.name}] is in {kept['state']} state.",
            )
        data = bytes.fromhex(kept["data"])
        payload = types.SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        return types.AccessSecretVersionResponse(name=version.name, payload=payload)

    def enable(self, request: types.EnableSecretVersionRequest) -> types.SecretVersion:
        return self._turn(request, State.ENABLED)

    def disable(self, request: types.DisableSecretVersionRequest) -> types.SecretVersion:
        return self._turn(request, State.DISABLED)

    def destroy(self, request: types.DestroySecretVersionRequest) -> types.SecretVersion:
        return self._turn(request, State.DESTROYED)

    def _turn(self, request: Any, state: Any) -> types.SecretVersion:
        version, kept = self._version(request.name)
        _check_etag(request.etag, version.etag)
        if version.state == State.DESTROYED:
            raise Refused(
                Code.FAILED_PRECONDITION, f"Secret Version [{version.name}] is destroyed."
            )
        kept["state"] = state.name
        if state == State.DESTROYED:
            kept["data"] = ""
            kept["destroyed"] = datetime.now(UTC).isoformat()
        self._save()
        return self._version(version.name)[0]

    # What is kept

    def _check_project(self, parent: str) -> None:
        if parent != f"projects/{self._project}":
            raise Refused(Code.PERMISSION_DENIED, f"Permission denied on resource {parent}.")

    def _entry(self, name: str) -> dict[str, Any]:
        found = _SECRET.fullmatch(name)
        if not found:
            raise Refused(Code.INVALID_ARGUMENT, "The name must look like projects/*/secrets/*.")
        self._check_project(f"projects/{found[1]}")
        if name not in self._secrets:
            raise Refused(Code.NOT_FOUND, f"Secret [{name}] not found or has no versions.")
        return self._secrets[name]

    def _version(self, name: str) -> tuple[types.SecretVersion, dict[str, Any]]:
        found = _VERSION.fullmatch(name)
        if not found:
            raise Refused(
                Code.INVALID_ARGUMENT, "The name must look like projects/*/secrets/*/versions/*."
            )
        versions = self._entry(found[1])["versions"]
        number = len(versions) if found[4] == "latest" else int(found[4])
        if not 1 <= number <= len(versions):
            raise Refused(Code.NOT_FOUND, f"Secret Version [{name}] not found.")
        kept = versions[number - 1]
        shown = types.SecretVersion(
            name=f"{found[1]}/versions/{number}",
            create_time=datetime.fromisoformat(kept["created"]),
            state=State[kept["state"]],
            etag=_etag(kept["created"] + kept["state"]),
            client_specified_payload_checksum=False,
        )
        if "destroyed" in kept:
            shown.destroy_time = datetime.fromisoformat(kept["destroyed"])
        return shown, kept

    def _shown(self, name: str) -> types.Secret:
        kept = json.dumps(self._secrets[name]["secret"])
        secret: types.Secret = types.Secret.from_json(kept)
        secret.etag = _etag(kept)
        return secret

    def _read(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._path.read_bytes()) if self._path.exists() else {}

    def _save(self) -> None:
        try:
            write_private(self._path, json.dumps(self._secrets, indent=1).encode())
        except OSError:
            # The caller hears of a failure, so nobody may read what it wanted to change.
            self._secrets = self._read()
            raise


def _etag(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:14]}"'


def _check_etag(given: str, current: str) -> None:
    if given and given != current:
        raise Refused(Code.FAILED_PRECONDITION, "The etag does not match the current one.")


def _page(names: list[str], request: Any) -> tuple[list[str], str]:
    """This page's names and the token of the next one."""
    if request.filter:
        raise Refused(Code.UNIMPLEMENTED, "Filters are not served.")
    if request.page_size < 0 or not re.fullmatch(r"[0-9]{0,9}", request.page_token):
        raise Refused(Code.INVALID_ARGUMENT, "The page size or token is invalid.")
    start = int(request.page_token or 0)
    end = start + min(request.page_size or _PAGE, _PAGE)
    return names[start:end], str(end) if end < len(names) else ""


# Transport


class SecretManager:
    """The gRPC service in front of a vault; one call at a time changes it."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._lock = asyncio.Lock()

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        vault = self._vault
        version = types.SecretVersion
        calls: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
            "CreateSecret": (vault.create, types.CreateSecretRequest, types.Secret),
            "GetSecret": (vault.get, types.GetSecretRequest, types.Secret),
            "ListSecrets": (vault.list, types.ListSecretsRequest, types.ListSecretsResponse),
            "DeleteSecret": (vault.delete, types.DeleteSecretRequest, None),
            "AddSecretVersion": (vault.add_version, types.AddSecretVersionRequest, version),
            "GetSecretVersion": (vault.get_version, types.GetSecretVersionRequest, version),
            "ListSecretVersions": (
                vault.list_versions,
                types.ListSecretVersionsRequest,
                types.ListSecretVersionsResponse,
            ),
            "AccessSecretVersion": (
                vault.access,
                types.AccessSecretVersionRequest,
                types.AccessSecretVersionResponse,
            ),
            "EnableSecretVersion": (vault.enable, types.EnableSecretVersionRequest, version),
            "DisableSecretVersion": (vault.disable, types.DisableSecretVersionRequest, version),
            "DestroySecretVersion": (vault.destroy, types.DestroySecretVersionRequest, version),
        }
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    self._behaviour(call),
                    request_deserializer=asked.deserialize,
                    response_serializer=(
                        answered.serialize if answered else empty_pb2.Empty.SerializeToString
                    ),
                )
                for name, (call, asked, answered) in calls.items()
            },
        )

    def _behaviour(self, call: Callable[[Any], Any]) -> Callable[[Any, Any], Awaitable[Any]]:
        async def behaviour(request: Any, context: Any) -> Any:
            try:
                async with self._lock:
                    # Away from the loop, since a change waits for the disk.
                    return await asyncio.to_thread(call, request)
            except Refused as refused:
                await context.abort(refused.code, str(refused))

        return behaviour
