"""The same work asked of both sides, each the way its own users ask for it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import aiohttp

from tests.bench.peers.directus import EMAIL, TASKS, Directus
from tests.bench.peers.directus import PASSWORD as ADMIN
from tests.fixtures.stack import PASSWORD, Person, Stack, announced

# The page that both lists hold: the newest twenty open tasks.
PAGE = 20
# Seconds between two looks at a medium, where the function does not hold the answer itself.
_LOOK_AGAIN = 0.01


class Side(Protocol):
    """Every call returns when its work is done, and raises when it was refused."""

    name: str

    async def login(self) -> None: ...

    async def create(self, number: int) -> str: ...

    async def delete(self, task: str) -> None: ...

    async def page(self) -> int:
        """The length of the list."""
        ...

    async def upload(self, content: bytes) -> str:
        """Returns the file's id once the bytes are acknowledged."""
        ...

    async def thumbnails(self, file: str, sizes: Sequence[int]) -> list[bytes]:
        """The picture in each of those sizes as WebP, as soon as it is there."""
        ...

    async def size(self, file: str) -> int:
        """What the side says that it holds."""
        ...


class Ours:
    """`direct` calls the functions themselves, as in the cloud; else through the gateway."""

    def __init__(
        self, stack: Stack, person: Person, client: aiohttp.ClientSession, *, direct: bool
    ) -> None:
        self.name = "ours, direct" if direct else "ours"
        plan, gateway = stack.plan, f"{stack.url}/api"
        names = ("auth", "tasks", "media")
        self._url = {name: plan.url(name) if direct else f"{gateway}/{name}" for name in names}
        self._tasks = self._url["tasks"] + ("/" if direct else "")
        self._client = client
        self._email = person.email
        self._headers = {"Authorization": str(person.api.headers["Authorization"])}

    async def login(self) -> None:
        """Its token lasts ten minutes, and a run on a busy machine longer."""
        body = {"email": self._email, "password": PASSWORD}
        signed = await self._json("POST", f"{self._url['auth']}/login", json=body)
        self._headers = {"Authorization": f"Bearer {signed['accessToken']}"}

    async def create(self, number: int) -> str:
        body = {"title": f"Paint fence {number}", "description": "Both sides", "status": "open"}
        return str((await self._json("POST", self._tasks, json=body))["id"])

    async def delete(self, task: str) -> None:
        url = f"{self._url['tasks']}/{task}"
        async with self._client.delete(url, headers=self._headers) as answer:
            answer.raise_for_status()

    async def page(self) -> int:
        query = {"limit": str(PAGE), "status": "open"}
        return len((await self._json("GET", self._tasks, params=query))["items"])

    async def upload(self, content: bytes) -> str:
        # Beside the loop: a hundred checksums one after the other take longer than the server keeps
        # the connections on which their requests are about to go.
        body = await asyncio.to_thread(announced, content, "image/jpeg")
        ticket = await self._json("POST", f"{self._url['media']}/uploads", json=body)
        signed = ticket["upload"]
        file = io.BytesIO(content)
        async with self._client.put(signed["url"], data=file, headers=signed["headers"]) as sent:
            sent.raise_for_status()
        return str(ticket["mediaId"])

    async def thumbnails(self, file: str, sizes: Sequence[int]) -> list[bytes]:
        while (medium := await self._medium(file))["state"] in ("pending", "scanning"):
            await asyncio.sleep(_LOOK_AGAIN)
        if medium["state"] != "ready":
            raise RuntimeError(f"rejected: {medium['reason']}")
        urls = {one["size"]: one["url"] for one in medium["renditions"]}
        return [await self._bytes(urls[size]) for size in sizes]

    async def _bytes(self, url: str) -> bytes:
        async with self._client.get(url) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def size(self, file: str) -> int:
        return int((await self._medium(file))["size"])

    async def _medium(self, file: str) -> dict[str, Any]:
        waits = {"Prefer": "wait=10"}
        return await self._json("GET", f"{self._url['media']}/{file}", headers=waits)

    async def _json(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        more = options.pop("headers", {})
        while True:
            headers = {**self._headers, **more}
            async with self._client.request(method, url, headers=headers, **options) as answer:
                if answer.status == 503:
                    # As it asks for; the time counts.
                    await asyncio.sleep(float(answer.headers["Retry-After"]))
                    continue
                if answer.status == 401 and not url.endswith("/login"):
                    await self.login()
                    continue
                answer.raise_for_status()
                body: dict[str, Any] = await answer.json()
                return body


class Theirs:
    name = "Directus"

    def __init__(self, directus: Directus, client: aiohttp.ClientSession) -> None:
        self._url = directus.url
        self._client = client
        self._headers: dict[str, str] = {}

    async def prepare(self) -> None:
        """Sign in and make the collection."""
        token = (await self._signed_in())["access_token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        await self._data("POST", "/collections", json=TASKS)

    async def login(self) -> None:
        await self._signed_in()

    async def create(self, number: int) -> str:
        body = {"title": f"Paint fence {number}", "description": "Both sides", "status": "open"}
        return str((await self._data("POST", "/items/tasks", json=body))["id"])

    async def delete(self, task: str) -> None:
        url = f"{self._url}/items/tasks/{task}"
        async with self._client.delete(url, headers=self._headers) as answer:
            answer.raise_for_status()

    async def page(self) -> int:
        query = {"limit": str(PAGE), "sort": "-created", "filter[status][_eq]": "open"}
        return len(await self._data("GET", "/items/tasks", params=query))

    async def upload(self, content: bytes) -> str:
        def form() -> aiohttp.FormData:
            form = aiohttp.FormData()
            form.add_field("file", content, filename="holiday.jpg", content_type="image/jpeg")
            return form

        return str((await self._data("POST", "/files", form))["id"])

    async def thumbnails(self, file: str, sizes: Sequence[int]) -> list[bytes]:
        return [await self._rendition(file, size) for size in sizes]

    async def _rendition(self, file: str, size: int) -> bytes:
        query = {"width": size, "height": size, "fit": "inside", "format": "webp", "quality": 80}
        async with self._client.get(
            f"{self._url}/assets/{file}", params=query, headers=self._headers
        ) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def size(self, file: str) -> int:
        return int((await self._data("GET", f"/files/{file}"))["filesize"])

    async def _signed_in(self) -> dict[str, Any]:
        body = {"email": EMAIL, "password": ADMIN}
        signed: dict[str, Any] = await self._data("POST", "/auth/login", json=body)
        return signed

    async def _data(
        self,
        method: str,
        path: str,
        form: Callable[[], aiohttp.FormData] | None = None,
        **options: Any,
    ) -> Any:
        """`form` makes another one for each try: one that was sent is used up."""
        while True:
            more = {**options, "data": form()} if form else options
            async with self._client.request(
                method, self._url + path, headers=self._headers, **more
            ) as answer:
                if answer.status == 503:
                    # It refuses while its event loop is late; as with ours, the time counts.
                    await asyncio.sleep(float(answer.headers.get("Retry-After", _LOOK_AGAIN)))
                    continue
                answer.raise_for_status()
                return (await answer.json())["data"]
