"""A hundred and twenty uploads of 10 MB at once: none lost, none changed, none counted twice."""

from __future__ import annotations

import asyncio
import base64
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import google_crc32c
import pytest
from PIL import Image

from tests.fixtures.stack import Person, Stack, eventually, fresh_cloud
from tests.load.pictures import jpeg
from tests.load.rate import at_rate, percentile
from tests.load.uploads import upload_all

COUNT, SIZE = 120, 10_000_000
PEOPLE = 6


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Of its own: the emulator is slower the more documents there are."""
    with fresh_cloud(tmp_path_factory) as running:
        yield running


@pytest.mark.emulated
@pytest.mark.xdist_group("stack")
def test_a_hundred_and_twenty_uploads_at_once_all_arrive_whole(stack: Stack) -> None:
    contents = [jpeg(SIZE, number) for number in range(COUNT)]
    with ExitStack() as opened:
        people = [opened.enter_context(stack.person()) for _ in range(PEOPLE)]
        found = asyncio.run(upload_all(people, contents))
        assert len(found) == COUNT
        listed = [item for person in people for item in _all_media(person)]
        assert Counter(item["state"] for item in listed) == {"ready": COUNT}
        assert {item["id"] for item in listed} == set(found)
        wanted = Counter(_checksum(content) for content in contents)
        assert _kept(stack, wanted) == wanted
        assert eventually(lambda: stack.objects("inbox"), lambda names: not names) == []
        owners = {person.api.get("/auth/me").json()["id"] for person in people}
        ready = eventually(lambda: _audited(stack, owners), lambda n: n >= COUNT)
        assert ready == COUNT


def _all_media(person: Person) -> list[dict[str, str]]:
    items, cursor = [], ""
    while cursor is not None:
        query = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = person.api.get("/media", params=query).json()
        items += page["items"]
        cursor = page["nextCursor"]
    return items


def _checksum(content: bytes) -> str:
    return base64.b64encode(google_crc32c.Checksum(content).digest()).decode()


def _kept(stack: Stack, wanted: Counter[str]) -> Counter[str]:
    """Checksums in the media bucket, of those that were sent."""
    blobs = stack.storage.list_blobs(stack.plan.bucket("media"))
    return Counter(blob.crc32c for blob in blobs if blob.crc32c in wanted)


def _audited(stack: Stack, owners: set[str]) -> int:
    return sum(
        record["owner"] in owners and record["type"] == "snaptask.media.v1.ready"
        for record in stack.documents("audit")
    )


@pytest.mark.parametrize("size", [65_600, 110_086, 131_100, 10_000_000])
def test_a_made_picture_is_whole_and_of_its_size(size: int) -> None:
    content = jpeg(size, 7)
    assert len(content) == size
    assert content != jpeg(size, 8)
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.size == (640, 480)


class Time:
    """Passes only when nobody has anything else to do."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, len(self._sleepers), future))
        await future

    async def pass_by(self) -> None:
        while True:
            for _ in range(20):
                await asyncio.sleep(0)
            waiting = [one for one in self._sleepers if not one[2].done()]
            if not waiting:
                return
            self.now, _, future = min(waiting)
            future.set_result(None)


def test_what_waits_behind_a_slow_answer_counts_from_its_own_moment() -> None:
    """Ten a second; the first answer takes a second and holds up the others."""

    async def measured() -> list[float]:
        clock, turn = Time(), asyncio.Lock()

        async def call(number: int) -> None:
            async with turn:
                await clock.sleep(1.0 if number == 0 else 0.0)

        run = asyncio.create_task(
            at_rate(call, per_second=10, count=12, now=lambda: clock.now, sleep=clock.sleep)
        )
        await clock.pass_by()
        return await run

    seen = asyncio.run(measured())
    assert seen == pytest.approx([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0, 0.0])


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([3.0], 0.5) == 3.0
