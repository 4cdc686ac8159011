"""Many large uploads at once, as browsers make them: announced, sent to the signed URL, awaited."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.fixtures.stack import Person, announced

# Seconds between two looks at a person's list; what ready times are exact to.
_LOOK_EVERY = 0.1
_UNSETTLED = ("pending", "scanning")


@dataclass
class Upload:
    """Moments are seconds since it began."""

    media_id: str
    acknowledged: float
    ready: float = 0.0


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    # A server may close what is idle for longer, maybe under a new request.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1)
    timeout = aiohttp.ClientTimeout(total=300)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield session


async def answered(
    session: aiohttp.ClientSession, person: Person, method: str, path: str, **options: Any
) -> Any:
    """What the API answers; asks again when it asks for that."""
    url = f"{person.api.base_url}{path.removeprefix('/')}"
    headers = {"Authorization": str(person.api.headers["Authorization"])}
    headers |= options.pop("headers", {})
    while True:
        async with session.request(method, url, headers=headers, **options) as answer:
            if answer.status == 503:
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                continue
            answer.raise_for_status()
            return await answer.json() if answer.status != 204 else None


async def upload(
    session: aiohttp.ClientSession, person: Person, content: bytes, key: str
) -> Upload:
    """A key, because a browser whose request broke off sends it again under the same one."""
    began = time.perf_counter()
    ticket = await answered(
        session,
        person,
        "POST",
        "/media/uploads",
        json=announced(content, "image/jpeg"),
        headers={"Idempotency-Key": key},
    )
    signed = ticket["upload"]
    body = io.BytesIO(content)
    async with session.put(signed["url"], data=body, headers=signed["headers"]) as answer:
        answer.raise_for_status()
    return Upload(str(ticket["mediaId"]), time.perf_counter() - began)


async def upload_all(
    people: Sequence[Person], contents: Sequence[bytes]
) -> dict[str, tuple[Upload, bytes]]:
    """All at once, in turns among the people; returns when each is settled."""
    began = time.perf_counter()
    async with client() as session:
        made = await asyncio.gather(
            *(
                upload(session, people[number % len(people)], content, f"upload {number}")
                for number, content in enumerate(contents)
            )
        )
        found = {one.media_id: (one, content) for one, content in zip(made, contents, strict=True)}
        await asyncio.gather(*(_settled(session, person, found, began) for person in people))
    return found


async def _settled(
    session: aiohttp.ClientSession,
    person: Person,
    found: dict[str, tuple[Upload, bytes]],
    began: float,
) -> None:
    while True:
        page = await answered(session, person, "GET", "/media?limit=100")
        now = time.perf_counter() - began
        for item in page["items"]:
            if item["id"] in found and item["state"] not in _UNSETTLED:
                one = found[item["id"]][0]
                one.ready = one.ready or now
        if all(item["state"] not in _UNSETTLED for item in page["items"]):
            return
        await asyncio.sleep(_LOOK_EVERY)
