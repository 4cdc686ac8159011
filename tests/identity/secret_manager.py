"""Secret Manager's gRPC API in this process, with Google's own messages, that can be made to
fail, to be slow, and to go away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from google.cloud.secretmanager_v1 import types
from google.protobuf.timestamp_pb2 import Timestamp

State = types.SecretVersion.State
CREATED = datetime(2026, 11, 25, 12, tzinfo=UTC)
# The real service answers with the project's number, whatever it was asked with.
_PROJECT = "projects/123456789"


class SecretManagerServer:
    """`faults` are status codes, or "slow" for an answer that comes after the client's patience;
    one is taken by each call. `page` is the number of versions in an answer."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[bytes, State]]] = {}
        self.faults: list[grpc.StatusCode | str] = []
        self.calls: list[str] = []
        self.routing: list[str] = []
        self.page = 250
        self.port = 0
        self._server: grpc.Server | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; on the same port again after a stop."""
        handler = grpc.method_handlers_generic_handler(
            "google.cloud.secretmanager.v1.SecretManagerService",
            {
                "ListSecretVersions": _handler(self._list, types.ListSecretVersionsRequest),
                "AddSecretVersion": _handler(self._add, types.AddSecretVersionRequest),
                "AccessSecretVersion": _handler(self._access, types.AccessSecretVersionRequest),
            },
        )
        self._server = grpc.server(
            ThreadPoolExecutor(8), handlers=[handler], options=[("grpc.so_reuseport", 0)]
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        assert self._server
        self._server.stop(None).wait(10)

    def _list(self, request: Any, context: Any) -> Any:
        self._meet("list", context)
        versions = self.versions.get(request.parent)
        if versions is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such secret")
        start = int(request.page_token or 0)
        end = min(start + min(self.page, request.page_size), len(versions))
        # The newest first, as the real one does.
        numbers = range(len(versions), 0, -1)[start:end]
        return types.ListSecretVersionsResponse(
            versions=[
                types.SecretVersion(
                    name=f"{_PROJECT}/{request.parent.split('/', 2)[2]}/versions/{number}",
                    create_time=Timestamp(seconds=int(CREATED.timestamp()) + number),
                    state=versions[number - 1][1],
                )
                for number in numbers
            ],
            next_page_token=str(end) if end < len(versions) else "",
        )

    def _add(self, request: Any, context: Any) -> Any:
        self._meet("add", context)
        versions = self.versions[request.parent]
        versions.append((request.payload.data, State.ENABLED))
        return types.SecretVersion(
            name=f"{_PROJECT}/{request.parent.split('/', 2)[2]}/versions/{len(versions)}",
            create_time=Timestamp(seconds=int(CREATED.timestamp())),
            state=State.ENABLED,
        )

    def _access(self, request: Any, context: Any) -> Any:
        self._meet("access", context)
        secret, _, number = request.name.replace(_PROJECT, "projects/p").partition("/versions/")
        payload, state = self.versions[secret][int(number) - 1]
        if state != State.ENABLED:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "disabled")
        return types.AccessSecretVersionResponse(
            name=request.name, payload=types.SecretPayload(data=payload)
        )

    def _meet(self, name: str, context: Any) -> None:
        self.calls.append(name)
        metadata = dict(context.invocation_metadata())
        self.routing.append(metadata.get("x-goog-request-params", ""))
        fault = self.faults.pop(0) if self.faults else None
        if fault == "slow":
            gone = threading.Event()
            if context.add_callback(gone.set):
                gone.wait(10)
        elif fault is not None:
            context.abort(fault, "ordered by the test")


def _handler(answer: Any, request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(
        answer,
        request_deserializer=request.deserialize,
        response_serializer=lambda message: type(message).serialize(message),
    )


@contextmanager
def serving() -> Iterator[SecretManagerServer]:
    server = SecretManagerServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
