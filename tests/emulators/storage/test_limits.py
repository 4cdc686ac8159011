"""How much the emulator holds, and what it costs: bounded in bytes, flat in objects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from emulators.storage.__main__ import listen
from emulators.storage.listing import Listing
from emulators.storage.model import Preconditions
from emulators.storage.store import Store
from tests.emulators.storage.service import Service, running
from tests.fixtures.stack import eventually

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("limits")) as started:
        started.bucket("many")
        yield started


def begin(service: Service, name: str, size: int, sent: bytes) -> socket.socket:
    """A signed PUT that stops in the middle of its body."""
    url = urlsplit(service.sign("many", name, headers={"content-type": "x/y"}))
    connection = socket.create_connection((url.hostname, url.port))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
    head += f"Content-Type: x/y\r\nContent-Length: {size}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def incoming(service: Service) -> int:
    return sum(path.stat().st_size for path in (service.data / "incoming").iterdir())


@pytest.mark.emulated
def test_forty_uploads_under_way_hold_a_few_chunks_each(service: Service) -> None:
    service.client.bucket("many").blob("warm").upload_from_string(b"x" * MIB)
    before = service.rss()
    half = b"x" * (4 * MIB)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(begin(service, f"n{number}", 8 * MIB, half)) for number in range(40)
        ]
        # All but the last chunk (256 KiB) of each is on the disk before the memory is looked at.
        eventually(lambda: incoming(service), lambda size: size >= 40 * (4 * MIB - 256 * 1024))
        assert service.rss() - before < 40 * MIB
        for connection in connections:
            connection.sendall(half)
            assert connection.recv(64).startswith(b"HTTP/1.1 200")
    names = {blob.name for blob in service.client.list_blobs("many")}
    assert {f"n{number}" for number in range(40)} <= names


@pytest.mark.emulated
def test_an_upload_that_breaks_off_leaves_nothing(service: Service) -> None:
    connection = begin(service, "broken", MIB, b"x" * 1000)
    connection.close()
    assert service.client.bucket("many").get_blob("broken") is None
    service.client.bucket("many").blob("broken").upload_from_string("x", if_generation_match=0)


def write(store: Store, name: str) -> None:
    sink = store.blobs.sink()
    sink.write(b"x")
    store.create("b-1", name, sink, {}, Preconditions())


CALLS: dict[str, Callable[[Store], object]] = {
    "get": lambda store: store.get("b-1", "n00050"),
    "absent": lambda store: store.find("b-1", "n00050x"),
    "page": lambda store: store.page("b-1", Listing(prefix="n0005", limit=5)),
    "folded": lambda store: store.page("b-1", Listing(delimiter="0", limit=5)),
    "versions": lambda store: store.page("b-1", Listing(states=("live", "noncurrent"), limit=5)),
    "soft-deleted": lambda store: store.page("b-1", Listing(states=("deleted",), limit=5)),
    "write": lambda store: write(store, "n00050"),
    "delete": lambda store: store.delete("b-1", "n00051"),
    "sweep": lambda store: store.sweep(),
}


def steps(store: Store) -> dict[str, int]:
    """SQLite's own count of what each call costs, whatever the machine does meanwhile."""
    counts = {}
    for name, call in CALLS.items():
        ticks: list[None] = []
        store._db.set_progress_handler(partial(ticks.append, None), 1)
        call(store)
        store._db.set_progress_handler(None, 1)
        counts[name] = len(ticks)
    return counts


@pytest.mark.proof
@pytest.mark.parametrize("kept", ["0", "604800"])
def test_the_cost_of_a_call_does_not_grow_with_the_bucket(tmp_path: Path, kept: str) -> None:
    store = Store(tmp_path)
    store.create_bucket("b-1", "p", {"softDeletePolicy": {"retentionDurationSeconds": kept}})
    counts = []
    for size in (100, 1000):
        for number in range(size):
            write(store, f"n{number:05}")
        # One name with a long past.
        for _ in range(size // 10):
            write(store, "n00050")
        counts.append(steps(store))
    store.close()
    small, large = counts
    assert {name for name in CALLS if large[name] > small[name] * 1.2 + 20} == set()


async def accepted_nodelay() -> int:
    """What a connection that the emulator accepts has TCP_NODELAY set to."""
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def look(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    server = await asyncio.start_server(look, sock=listen("127.0.0.1", 0))
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        result = await found
        writer.close()
        await writer.wait_closed()
    return result


def test_an_answer_does_not_wait_for_the_callers_acknowledgement() -> None:
    assert asyncio.run(accepted_nodelay()) == 1
