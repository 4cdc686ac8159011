"""POSTs requests to functions as the platform does: with its token, in the function's limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Self

import aiohttp

from emulators.platform.identity import Identity
from infra.declaration import Function


class NoAnswer(Exception):
    """The function is down or too slow; the message says which."""


class Sender:
    """To one function: its own `concurrency` and `timeout` hold, whoever sends."""

    def __init__(
        self, session: aiohttp.ClientSession, identity: Identity, function: Function, url: str
    ) -> None:
        self._session = session
        self._identity = identity
        self._url = url
        self._seconds = function.timeout
        self._slots = asyncio.Semaphore(function.concurrency)

    @classmethod
    @asynccontextmanager
    async def of_all(
        cls,
        identity: Identity,
        functions: Mapping[str, Function],
        urls: Mapping[str, str],
    ) -> AsyncIterator[dict[str, Self]]:
        """A sender for each URL, by the function's name."""
        # One connection per request: a function's server closes an idle one without a word, and
        # a request sent into that moment would count as a failure.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        jar = aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
            yield {name: cls(session, identity, functions[name], url) for name, url in urls.items()}

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """The answer's status. Raises NoAnswer."""
        async with self._slots:
            token = self._identity.id_token(self._identity.caller, self._url)
            try:
                async with self._session.post(
                    self._url.rstrip("/") + path,
                    data=body,
                    headers={**headers, "Authorization": f"Bearer {token}"},
                    timeout=aiohttp.ClientTimeout(total=self._seconds),
                    allow_redirects=False,
                ) as answer:
                    await answer.read()
                    return answer.status
            except TimeoutError:
                raise NoAnswer(f"took longer than {self._seconds} s") from None
            except (aiohttp.ClientError, OSError) as error:
                raise NoAnswer(f"did not answer ({type(error).__name__})") from None
