"""The same work done by Snaptask's local cloud and by Directus on SQLite, in turns in one run.

`python -m tests.bench.peers [--rounds N]`. Ours is measured twice: through the gateway, as people
call `make dev`, and calling the functions themselves, as in the cloud. Both sides run on this
machine with all that they need; ours has Firestore's and Pub/Sub's emulators under it, which are
JVMs, and makes three renditions of every picture that is uploaded, where Directus makes the one
that is asked for. Passwords are hashed as each side does by itself. The least of all rounds is
printed, because neighbours only add, and how many times longer the other one takes; where that is
below 1 it is ahead, which fails the run unless the reason is known and told.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from unittest import mock

import aiohttp
import httpx

from emulators.plan import ROOT
from shared.documents.firestore import FirestoreDocuments
from shared.media.objects import ObjectVersion
from shared.media.renditions import check, make
from shared.media.scan import scanner
from tests.bench.cold_start import environment_of, started
from tests.bench.peers import directus
from tests.bench.peers.sides import PAGE, Ours, Side, Theirs
from tests.fixtures import pictures
from tests.fixtures.stack import Person, Stack, local_cloud
from tests.load.pictures import padded

CLIENTS = 16
UPLOADS, MB = 100, 1_000_000
Row = Callable[[Side], Awaitable[float]]
"""Milliseconds of one unit of the row's work."""


async def each(call: Callable[[], Awaitable[object]], count: int, at_once: int) -> float:
    """`count` calls by `at_once` clients, each of which asks again when it was answered."""
    left = iter(range(count))

    async def client() -> None:
        for _ in left:
            await call()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(at_once)))
    return (time.perf_counter() - began) * 1000 / count


async def login(side: Side) -> float:
    return await each(side.login, 5, 1)


def create(at_once: int) -> Row:
    """What was created goes again: lists are to be asked of the same twenty, and Firestore's
    emulator, unlike Firestore, looks at all documents of a collection for each of its answers."""

    async def row(side: Side) -> float:
        made: list[str] = []

        async def one() -> None:
            made.append(await side.create(len(made)))

        spent = await each(one, 10 * at_once, at_once)
        for task in made:
            await side.delete(task)
        return spent

    return row


def page(at_once: int) -> Row:
    async def full(side: Side) -> None:
        length = await side.page()
        if length != PAGE:
            raise RuntimeError(f"{side.name} lists {length}")

    return lambda side: each(lambda: full(side), 400, at_once)


def to_thumbnails(*sizes: int) -> Row:
    async def once(side: Side) -> None:
        made = await side.thumbnails(await side.upload(numbered(photograph(5 * MB))), sizes)
        if [one[8:12] for one in made] != [b"WEBP"] * len(sizes):
            raise RuntimeError(f"{side.name} made no WebP")

    return lambda side: each(lambda: once(side), 3, 1)


async def uploads(side: Side) -> float:
    """All at once; afterwards each is there whole. What ours has still to do for its renditions
    is waited for, so that it does not run on in the other one's turn."""
    contents = [numbered(photograph(10 * MB)) for _ in range(UPLOADS)]
    began = time.perf_counter()
    files = await asyncio.gather(*map(side.upload, contents))
    spent = (time.perf_counter() - began) * 1000
    if [await side.size(file) for file in files] != [len(content) for content in contents]:
        raise RuntimeError(f"{side.name} lost an upload")
    if isinstance(side, Ours):
        for file in files:
            await side.thumbnails(file, ())
    return spent


ONE_LIST = "list of 20, 1 client"
ONE_THUMBNAIL = "5 MB JPEG to its thumbnail"
THREE_SIZES = "5 MB JPEG to three sizes"
MANY_LISTS = f"list of 20, {CLIENTS} clients"
_LIST = (
    "Firestore's emulator takes {query:.1f} ms for the query alone, on these same cores, and an"
    " empty function {empty:.1f} ms for anything; SQLite is in Directus's own process"
)
KNOWN = {
    ONE_LIST: _LIST,
    MANY_LISTS: _LIST,
    ONE_THUMBNAIL: "ours has looked for viruses before ({scan:.0f} ms) and made all three sizes"
    " ({make:.0f} ms), the largest from 16 times the pixels; the row of three sizes has equal work",
    THREE_SIZES: "ours has looked for viruses before ({scan:.0f} ms); making them takes {make:.0f}"
    " ms, and the first byte is not decoded before the verdict",
}
"""Why the other one may be ahead."""
ROWS: dict[str, Row] = {
    "login": login,
    "create, 1 client": create(1),
    f"create, {CLIENTS} clients": create(CLIENTS),
    ONE_LIST: page(1),
    MANY_LISTS: page(CLIENTS),
    ONE_THUMBNAIL: to_thumbnails(320),
    THREE_SIZES: to_thumbnails(320, 640, 1280),
    f"{UPLOADS} x 10 MB uploads at once": uploads,
}
_photographs: dict[int, bytes] = {}
_numbers = iter(range(1_000_000))


def photograph(size: int) -> bytes:
    """A JPEG of 12 megapixels and about `size` bytes."""
    if size not in _photographs:
        image = pictures.photo(4000, 3000)
        grades = (pictures.saved(image, "JPEG", quality=q) for q in range(99, 60, -1))
        _photographs[size] = next(made for made in grades if len(made) < size)
        _photographs[size] = padded(_photographs[size], size)
    return _photographs[size]


def numbered(content: bytes) -> bytes:
    """Other bytes than any before, for sides that keep equal ones once."""
    comment = str(next(_numbers)).encode()
    return content[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + content[2:]


def our_cold_start(stack: Stack, person: Person) -> float:
    """Of the tasks function, as an instance starts in the cloud."""
    source = ROOT / "functions" / "tasks" / "main.py"
    headers = {"Authorization": person.api.headers["Authorization"]}
    began = time.perf_counter()
    with started(source, environment_of(stack.plan, "tasks")) as (url, _):
        answers(f"{url}/?limit={PAGE}", headers)
        return (time.perf_counter() - began) * 1000


def their_cold_start(installed: directus.Directus) -> float:
    began = time.perf_counter()
    with installed.start():
        answers(f"{installed.url}/server/ping", {})
        return (time.perf_counter() - began) * 1000


def answers(url: str, headers: dict[str, str]) -> None:
    while True:
        try:
            if httpx.get(url, headers=headers, timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.002)


async def compare(
    stack: Stack, person: Person, other: Person, installed: directus.Directus, rounds: int
) -> dict[str, dict[str, list[float]]]:
    # Seconds; gunicorn closes what is idle after two and Node after five, maybe under a request.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as client:
        theirs = Theirs(installed, client)
        await theirs.prepare()
        # One person each: the bytes of all rounds together are more than a quota.
        ours = [
            Ours(stack, person, client, direct=False),
            Ours(stack, other, client, direct=True),
        ]
        sides: list[Side] = [*ours, theirs]
        for side in sides:
            for number in range(PAGE):
                await side.create(number)
        seen: dict[str, dict[str, list[float]]] = {}
        for number in range(rounds + 1):
            for row, work in ROWS.items():
                for side in sides:
                    took = await work(side)
                    # The first round warms up what either side fills on its first use.
                    if number:
                        seen.setdefault(row, {}).setdefault(side.name, []).append(took)
        return seen


def floor(stack: Stack, owner: str) -> dict[str, float]:
    """What ours stands on: milliseconds of the page's query by the emulator, with no function
    around it, of an answer that a function gives without asking anybody, of a scan, and of making
    the three sizes."""
    with mock.patch.dict(os.environ, FIRESTORE_EMULATOR_HOST=stack.plan.address("firestore")):
        documents = FirestoreDocuments(stack.plan.project)
        query = least(
            lambda: documents.query(
                "tasks",
                where=[("owner", "==", owner), ("status", "==", "open")],
                order=[("createdAt", "DESCENDING"), ("__name__", "DESCENDING")],
                limit=PAGE + 1,
            )
        )
        documents.close()
    with httpx.Client() as client:
        empty = least(lambda: client.get(f"{stack.plan.url('tasks')}/health"))
    address = environment_of(stack.plan, "thumbnails")["SCANNER"]
    content = photograph(5 * MB)
    scan = least(lambda: scanner(address).scan(ObjectVersion("", "", 1), content), 5)
    made = least(lambda: make(content, check(content)), 5)
    return {"query": query, "empty": empty, "scan": scan, "make": made}


def least(call: Callable[[], object], count: int = 200) -> float:
    def once() -> float:
        began = time.perf_counter()
        call()
        return (time.perf_counter() - began) * 1000

    return min(once() for _ in range(count))


def report(seen: dict[str, dict[str, list[float]]], base: dict[str, float]) -> Sequence[str]:
    """Returns the rows in which the other one is ahead for no reason that is known."""
    print(f"\n| ours = 1; times in ms | {directus.VERSION} | ours | ours, direct | Directus |")
    print("|---|---|---|---|---|")
    behind = []
    for row, sides in seen.items():
        ours, direct, theirs = (min(sides[name]) for name in ("ours", "ours, direct", Theirs.name))
        if theirs < ours:
            behind.append(row)
        ratios = f"**{theirs / ours:.1f}** ({theirs / direct:.1f} direct)"
        print(f"| {row} | {ratios} | {ours:.1f} | {direct:.1f} | {theirs:.1f} |")
    for row in behind:
        print(f"Directus is ahead in {row}: {KNOWN.get(row, 'for no known reason').format(**base)}")
    return [row for row in behind if row not in KNOWN]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with (
        tempfile.TemporaryDirectory() as folder,
        local_cloud(Path(folder) / "data", "--no-reload") as stack,
        stack.person() as person,
        stack.person() as other,
    ):
        installed = directus.prepared(Path(folder))
        # Now, because his token may be over when everything was measured.
        owner = person.api.get("/auth/me").json()["id"]
        cold: dict[str, list[float]] = {"ours": [], "ours, direct": [], Theirs.name: []}
        for _ in range(rounds):
            took = our_cold_start(stack, person)
            # An instance that starts is asked directly by whatever stands in front.
            cold["ours"].append(took)
            cold["ours, direct"].append(took)
            cold[Theirs.name].append(their_cold_start(installed))
        with installed.start():
            answers(f"{installed.url}/server/ping", {})
            seen = asyncio.run(compare(stack, person, other, installed, rounds))
        base = floor(stack, owner)
    if report({"cold start": cold, **seen}, base):
        raise SystemExit("ours is behind")


if __name__ == "__main__":
    main()
