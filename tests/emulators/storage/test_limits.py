"""How much the emulator holds, and what it costs: bounded in bytes, flat in objects."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack
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


@pytest.mark.emulated
def test_forty_uploads_under_way_hold_a_few_chunks_each(service: Service) -> None:
    service.client.bucket("many").blob("warm").upload_from_string(b"x" * MIB)
    before = service.rss()
    half = b"x" * (4 * MIB)
    with ExitStack() as stack:
        connections = [
            stack.enter_context(begin(service, f"n{number}", 8 * MIB, half)) for number in range(40)
        ]
        # 160 MiB were taken in; a chunk is 256 KiB at the most.
        grown = eventually(service.rss, lambda _: True) - before
        assert grown < 40 * MIB
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


def steps(store: Store) -> int:
    """SQLite's own count of what a read, a page and a write cost, whatever the machine does."""
    count = 0

    def tick() -> None:
        nonlocal count
        count += 1

    store._db.set_progress_handler(tick, 1)
    store.get("b-1", "n00050")
    store.page("b-1", Listing(prefix="n0005", limit=5))
    sink = store.blobs.sink()
    sink.write(b"x")
    store.create("b-1", "n00050", sink, {}, Preconditions())
    store._db.set_progress_handler(None, 1)
    return count


def test_the_cost_of_a_call_does_not_grow_with_the_bucket(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create_bucket("b-1", "p", {"softDeletePolicy": {"retentionDurationSeconds": "0"}})
    counts = []
    for size in (100, 2000):
        for number in range(size):
            sink = store.blobs.sink()
            sink.write(b"x")
            store.create("b-1", f"n{number:05}", sink, {}, Preconditions())
        counts.append(steps(store))
    store.close()
    small, large = counts
    assert large < small * 1.2


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
