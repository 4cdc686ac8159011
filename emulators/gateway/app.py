"""The gateway's requests: to a function by its path's prefix, or a file of the web app.

A body goes through as it comes, in either direction, and is never held whole. What the gateway
answers itself has the product's one error shape. The path reaches the function undecoded, so
that what a function refuses in production it refuses here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict
from yarl import URL

from emulators.plan import ROOT
from infra.pages import ASKED_AGAIN, PAGE, PLACES, page_files, page_headers

WEB = ROOT / "web" / "dist"
DOCUMENT = ROOT / "docs" / "openapi.json"
# Cloud Run takes no larger request over HTTP/1 ("Cloud Run quotas and limits").
_LARGEST = 32 * 1024 * 1024
# RFC 9110, 7.6.1: they belong to one connection. Expect was answered by the gateway already.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_FUNCTIONS: web.AppKey[Mapping[str, str]] = web.AppKey("functions")
_CLIENT: web.AppKey[aiohttp.ClientSession] = web.AppKey("client")


def make_app(
    functions: Mapping[str, str], *, buckets: Sequence[str], pages: Path = WEB
) -> web.Application:
    """`functions` maps a prefix below /api to a function's URL; `buckets` are the URLs below
    which pages send and fetch pictures."""
    app = web.Application(client_max_size=_LARGEST, middlewares=[_safely])
    app[_FUNCTIONS] = functions
    app.cleanup_ctx.append(_client)
    app.router.add_get("/health", _health)
    app.router.add_get("/api/docs", _document)
    app.router.add_route("*", "/api/{rest:(?s:.+)}", _forward)
    headers = page_headers(buckets)
    # A fixed list, so that no path of a request is ever joined.
    for file in page_files(pages):
        kept = {**headers, "Content-Type": file.kind, "Cache-Control": file.caching}
        app.router.add_get(f"/{file.name}", _page(file.path, kept))
    for place in PLACES:
        app.router.add_get(place, _page(pages / PAGE, {**headers, "Cache-Control": ASKED_AGAIN}))
    app.router.add_route("*", "/{path:(?s:.*)}", _missing)
    return app


async def _client(app: web.Application) -> AsyncIterator[None]:
    # No total: a picture on a slow line may take minutes. Functions bound their own time.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=2)
    # Seconds; gunicorn closes what is idle after two, maybe under a request on its way.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as client:
        app[_CLIENT] = client
        yield


@web.middleware
async def _safely(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        return _problem(refusal.status)


async def _health(request: web.Request) -> web.Response:
    """200 when every routed function says that it runs."""
    states = {name: await _state(request, url) for name, url in request.app[_FUNCTIONS].items()}
    fine = all(state == "ok" for state in states.values())
    body = {"status": "ok" if fine else "degraded", "service": "gateway", "functions": states}
    return web.json_response(body, status=200 if fine else 503)


async def _state(request: web.Request, url: str) -> str:
    try:
        timeout = aiohttp.ClientTimeout(total=2)
        async with request.app[_CLIENT].get(f"{url}/health", timeout=timeout) as answer:
            return "ok" if answer.status == 200 else f"status {answer.status}"
    except (aiohttp.ClientError, TimeoutError):
        return "unreachable"


async def _document(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(DOCUMENT, headers={"Content-Type": "application/json"})


async def _missing(request: web.Request) -> web.Response:
    return _problem(404)


async def _forward(request: web.Request) -> web.StreamResponse:
    target = _target(request)
    if target is None:
        return _problem(404)
    if (request.content_length or 0) > _LARGEST:
        return _problem(413)
    call = request.app[_CLIENT].request(
        request.method,
        target,
        headers=_forwarded(request),
        data=request.content if request.body_exists else None,
        allow_redirects=False,
    )
    try:
        answer = await call
    except (aiohttp.ClientError, TimeoutError):
        return _problem(503, {"Retry-After": "1"})
    async with answer:
        return await _passed_on(request, answer)


def _target(request: web.Request) -> URL | None:
    """The function's URL for this path, cut from it as it stood on the wire."""
    path, mark, query = request.raw_path.partition("?")
    name, _, rest = path.removeprefix("/api/").partition("/")
    function = request.app[_FUNCTIONS].get(name)
    if function is None or not path.startswith("/api/"):
        return None
    return URL(f"{function}/{rest}{mark}{query}", encoded=True)


def _forwarded(request: web.Request) -> CIMultiDict[str]:
    kept = CIMultiDict(
        (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
    )
    # What the load balancer appends; the part before it is whatever the client claimed.
    before = request.headers.getall("X-Forwarded-For", [])
    kept["X-Forwarded-For"] = ", ".join([*before, request.remote or "unknown"])
    kept["X-Forwarded-Proto"] = request.scheme
    return kept


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = CIMultiDict(
        (name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP
    )
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _problem(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    phrase = HTTPStatus(status).phrase
    slug = phrase.lower().replace(" ", "-")
    document = {"type": f"/problems/{slug}", "title": phrase, "status": status}
    fixed = {
        "Content-Type": "application/problem+json",
        "X-Content-Type-Options": "nosniff",
        "X-Request-Id": secrets.token_hex(16),
    }
    body = json.dumps(document).encode()
    return web.Response(body=body, status=status, headers={**fixed, **(headers or {})})


def _page(file: Path, headers: Mapping[str, str]) -> Handler:
    async def page(request: web.Request) -> web.StreamResponse:
        if not file.is_file():
            return web.Response(
                status=503, text="The app is not built: python -m tools.web build\n"
            )
        return web.FileResponse(file, headers=headers)

    return page
