"""The front door: what reaches a function, what comes back, and what is refused at once."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from emulators.gateway.app import WEB, make_app
from tests.fixtures.emulated import free_port

pytestmark = pytest.mark.asyncio
BUCKETS = ["http://127.0.0.1:3900/inbox/", "http://127.0.0.1:3900/renditions/"]


async def echo(request: web.Request) -> web.StreamResponse:
    """A function that tells what it got."""
    if request.path == "/health":
        return web.json_response({"status": "ok"})
    if request.path == "/moved":
        return web.Response(status=302, headers={"Location": "http://storage.test/x"})
    if request.path == "/cookies":
        answer = web.Response()
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        return answer
    digest, size = hashlib.sha256(), 0
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        size += len(chunk)
    told = {
        "method": request.method,
        "path": request.raw_path,
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
        "sha256": digest.hexdigest(),
        "size": size,
    }
    return web.json_response(told, status=418 if request.path == "/teapot" else 200)


@asynccontextmanager
async def gateway(pages: Path = WEB, **routes: str) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:(?s:.*)}", echo)
    async with TestServer(app) as function:
        routes = routes or {"tasks": str(function.make_url("")).rstrip("/")}
        async with TestClient(TestServer(make_app(routes, buckets=BUCKETS, pages=pages))) as client:
            yield client


def header(told: dict[str, Any], name: str) -> list[str]:
    return [value for key, value in told["headers"] if key == name]


async def raw(client: TestClient[Any, Any], request: bytes) -> bytes:
    """One request as bytes, because a client library tidies paths up."""
    with socket.create_connection((client.host, client.port)) as connection:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(connection, request)
        return await loop.sock_recv(connection, 65536)


async def test_the_prefix_is_cut_and_the_rest_arrives_untouched() -> None:
    async with gateway() as client:
        answer = await client.post("/api/tasks/teapot?a=1&a=2&text=%C3%A4", data=b"{}")
        told = await answer.json()
        assert answer.status == 418
        assert (told["method"], told["path"]) == ("POST", "/teapot?a=1&a=2&text=%C3%A4")
        assert told["size"] == 2


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/"])
async def test_the_root_of_a_function_is_reached_with_and_without_a_slash(path: str) -> None:
    async with gateway() as client:
        told = await (await client.get(path)).json()
        assert told["path"] == "/"


async def test_an_encoded_path_stays_encoded() -> None:
    async with gateway() as client:
        head = b"GET /api/tasks/a%2Fb%20%2e%2e/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await raw(client, head)
        assert b"/a%2Fb%20%2e%2e/c" in answer


async def test_a_line_break_in_a_path_is_the_functions_to_refuse() -> None:
    async with gateway() as client:
        head = b"GET /api/tasks/a%0Ab HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert b"/a%0Ab" in await raw(client, head)


async def test_what_belongs_to_one_connection_is_not_passed_on() -> None:
    async with gateway() as client:
        sent = {
            "TE": "trailers",
            "Keep-Alive": "5",
            "X-Forwarded-For": "9.9.9.9",
            "If-Match": '"1"',
        }
        told = await (await client.get("/api/tasks/", headers=sent)).json()
        assert not header(told, "te")
        assert not header(told, "keep-alive")
        assert header(told, "if-match") == ['"1"']
        # What the client claimed stands before what the gateway saw.
        assert header(told, "x-forwarded-for") == ["9.9.9.9, 127.0.0.1"]
        assert header(told, "x-forwarded-proto") == ["http"]


async def test_ten_megabytes_pass_through_in_pieces() -> None:
    content = bytes(range(256)) * 40960

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    async with gateway() as client:
        for data in (io.BytesIO(content), pieces()):
            told = await (await client.put("/api/tasks/x", data=data)).json()
            assert told["size"] == len(content)
            assert told["sha256"] == hashlib.sha256(content).hexdigest()


async def test_a_redirect_is_told_and_not_followed() -> None:
    async with gateway() as client:
        answer = await client.get("/api/tasks/moved", allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, "http://storage.test/x")


async def test_two_cookies_stay_two() -> None:
    async with gateway() as client:
        answer = await client.get("/api/tasks/cookies")
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/nothing", "/api/taskss", "/nothing", "/web/index.html"]
)
async def test_what_is_not_there_is_a_problem(path: str) -> None:
    async with gateway() as client:
        answer = await client.get(path)
        assert answer.status == 404
        assert answer.content_type == "application/problem+json"
        assert (await answer.json(content_type=None))["status"] == 404


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/..%2fpyproject.toml", "//etc/passwd"]
)
async def test_no_path_leads_out_of_the_web_app(path: str) -> None:
    async with gateway() as client:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        answer = await raw(client, request.encode())
        assert answer.startswith(b"HTTP/1.1 404"), answer[:100]


async def test_a_body_over_the_platforms_limit_is_refused_unread() -> None:
    async with gateway() as client:
        head = "POST /api/tasks/ HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n"
        answer = await raw(client, head.encode())
        assert answer.startswith(b"HTTP/1.1 413"), answer[:100]


async def test_a_function_out_of_reach_is_a_problem_to_try_again() -> None:
    async with gateway(tasks=f"http://127.0.0.1:{free_port()}") as client:
        answer = await client.get("/api/tasks/")
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert json.loads(await answer.text())["type"] == "/problems/service-unavailable"


async def test_health_tells_of_every_function() -> None:
    async with gateway() as client:
        answer = await client.get("/health")
        assert (answer.status, (await answer.json())["functions"]) == (200, {"tasks": "ok"})
    async with gateway(tasks=f"http://127.0.0.1:{free_port()}") as client:
        answer = await client.get("/health")
        assert (answer.status, (await answer.json())["functions"]) == (
            503,
            {"tasks": "unreachable"},
        )


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """What a build of the web app leaves."""
    files = {
        "index.html": "<!doctype html>",
        "assets/app-1a2b.js": "1",
        ".vite/manifest.json": "{}",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    return tmp_path


async def test_the_page_may_load_nothing_of_anybody_else(pages: Path) -> None:
    async with gateway(pages) as client:
        answer = await client.get("/")
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert f"connect-src 'self' {' '.join(BUCKETS)};" in policy


async def test_every_place_of_the_app_is_its_page_and_no_other_path_is(pages: Path) -> None:
    async with gateway(pages) as client:
        for path in ("/", "/tasks/x", "/media", "/media/x", "/trash", "/account", "/join/x"):
            answer = await client.get(path)
            assert (answer.status, await answer.text()) == (200, "<!doctype html>"), path
        for path in ("/tasks", "/tasks/x/y", "/.vite/manifest.json", "/assets/../index.html/x"):
            assert (await client.get(path)).status == 404, path


async def test_an_asset_is_kept_for_good_and_the_page_is_asked_for_again(pages: Path) -> None:
    async with gateway(pages) as client:
        script = await client.get("/assets/app-1a2b.js")
        assert script.content_type in ("text/javascript", "application/javascript")
        assert "immutable" in script.headers["Cache-Control"]
        first = await client.get("/")
        assert first.headers["Cache-Control"] == "no-cache"
        again = await client.get("/", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status == 304


async def test_an_app_that_is_not_built_is_said_to_be(tmp_path: Path) -> None:
    async with gateway(tmp_path / "none") as client:
        answer = await client.get("/")
        assert answer.status == 503
        assert "python -m tools.web build" in await answer.text()
        assert (await client.get("/api/tasks/x")).status == 200


async def test_an_answer_that_breaks_off_is_not_passed_on_as_whole() -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "100"})
        await answer.prepare(request)
        await answer.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return answer

    app = web.Application()
    app.router.add_get("/", broken)
    async with TestServer(app) as function:
        url = str(function.make_url("")).rstrip("/")
        async with gateway(tasks=url) as client:
            answer = await client.get("/api/tasks/")
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
