"""The entry point's body: one flask.Request in, one flask.Response out, whatever happens.

Nothing escapes `App.__call__`, and functions-framework's own pages (its 404 for
/robots.txt, its redirects, its 500) are taken over when the App is built while the
framework loads main.py.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Flask, Request, Response, current_app, has_app_context
from flask import request as current_request
from pydantic import TypeAdapter
from werkzeug import exceptions
from werkzeug.routing import Map, MapAdapter, Rule

from shared.deadline import budget
from shared.errors import MethodNotAllowed, NotFound, ProductError
from shared.http.binders import make_binders
from shared.http.cors import CORS
from shared.http.etags import if_none_match
from shared.http.incoming import Incoming
from shared.http.logs import Log
from shared.http.model import Authenticator, Model, Reply, SessionCheck
from shared.http.places import Places, places_of_threads
from shared.http.problems import SECURITY_HEADERS, Answer, make_answer, problem, stream_answer
from shared.http.routes import Route, Routes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication


class Health(Model):
    status: str = "ok"
    service: str


class App:
    """One function's HTTP side; call it with the request that functions-framework hands over.

    `allowed_origins` are exact origins for CORS, `max_body` is bytes for routes that set no
    cap of their own, `project` puts traces into the log lines, `proxies` is how many of those in
    front of the function say truly from whom they took a request (source.py). Without `sessions` a
    token is good for its whole life on every route.
    """

    def __init__(
        self,
        name: str,
        routes: Routes,
        *,
        authenticator: Authenticator | None = None,
        sessions: SessionCheck | None = None,
        allowed_origins: Sequence[str] = (),
        max_body: int = 64 * 1024,
        project: str | None = None,
        proxies: int = 0,
    ) -> None:
        self._log = Log(name, project or os.environ.get("GOOGLE_CLOUD_PROJECT"))
        self._cors = CORS(allowed_origins)
        # The health check takes no place: it must be answered when there is none.
        endpoints = [
            _Endpoint(route, authenticator, sessions, max_body, proxies, places)
            for table, places in ((routes, places_of_threads()), (_health(name), Places(None)))
            for route in table
        ]
        self._adapter = _adapter(endpoints)
        if has_app_context():
            _take_over(current_app, self)

    def __call__(self, request: Request) -> Response:
        started = perf_counter()
        exchange = _Exchange(request.environ, self._adapter, self._cors)
        answer = self._answer(exchange)
        exchange.finish(answer)
        # The framework reads what is left of the body into memory, however much that is,
        # before it lets the answer go; the server discards it in small pieces instead.
        request.stream = io.BytesIO()
        incoming = exchange.incoming
        self._log.access(
            incoming.method if incoming.method in _METHODS else "OTHER",
            exchange.template,
            answer.status_code,
            perf_counter() - started,
            request_id=incoming.request_id,
            trace=incoming.trace,
            problem=exchange.problem,
        )
        return answer

    def _answer(self, exchange: _Exchange) -> Answer:
        try:
            return exchange.run()
        except ProductError as error:
            return exchange.refuse(error)
        except Exception as error:  # noqa: BLE001 -- The last line of defence answers 500.
            incoming = exchange.incoming
            self._log.failure(error, exchange.template, incoming.request_id, incoming.trace)
            return exchange.refuse(ProductError())


class _Endpoint:
    """A route made ready: binders, serializer and cap are looked up once."""

    def __init__(
        self,
        route: Route,
        authenticator: Authenticator | None,
        sessions: SessionCheck | None,
        max_body: int,
        proxies: int,
        places: Places,
    ) -> None:
        self.route = route
        self._places = places
        self.max_body = route.max_body or max_body
        self._handler = route.handler
        check = sessions if route.live else None
        self._binders = make_binders(route.signature, authenticator, check, proxies)
        self._serializer = (
            None
            if route.signature.answer is None
            else TypeAdapter(route.signature.answer).serializer
        )

    def run(self, incoming: Incoming) -> Answer:
        values: dict[str, Any] = dict(incoming.args)
        with self._places.taken(), ExitStack() as resources:
            for bind in self._binders:
                bind(incoming, values, resources)
            # From here on, because how fast a body comes is the client's business.
            with budget(self.route.budget):
                result = self._handler(**values)
        return self._answer(result, incoming)

    def _answer(self, result: Any, incoming: Incoming) -> Answer:
        if not isinstance(result, Reply):
            return make_answer(self._serialize(result), self.route.status)
        status = result.status or self.route.status
        if isinstance(result.body, Iterator):
            answer = stream_answer(result.body, status)
        else:
            answer = make_answer(self._serialize(result.body), status)
        for name, value in result.headers.items():
            answer.headers[name] = value
        if result.etag is not None:
            answer.headers["ETag"] = result.etag
            sent = incoming.header("HTTP_IF_NONE_MATCH")
            if sent and self.route.method == "GET" and if_none_match(sent, result.etag):
                return _not_modified(answer)
        return answer

    def _serialize(self, body: Any) -> bytes:
        if self._serializer is None:
            return b""
        return self._serializer.to_json(body, by_alias=True)


class _Exchange:
    """One request on its way; `template` is what a log may say about the path."""

    def __init__(self, environ: dict[str, Any], adapter: MapAdapter, cors: CORS) -> None:
        self.incoming = Incoming(environ)
        self.template = "unmatched"
        self.problem: str | None = None
        self._adapter = adapter
        self._cors = cors

    def run(self) -> Answer:
        incoming = self.incoming
        path = incoming.path()
        if incoming.method == "OPTIONS":
            return self._options(path)
        endpoint, incoming.args = self._match(path)
        self.template = endpoint.route.template
        incoming.max_body = endpoint.max_body
        return endpoint.run(incoming)

    def refuse(self, error: ProductError) -> Answer:
        self.problem = error.slug
        return problem(error, self.incoming.request_id)

    def finish(self, answer: Answer) -> None:
        headers = answer.headers
        headers["X-Request-Id"] = self.incoming.request_id
        headers.extend(SECURITY_HEADERS)
        headers.setdefault("Cache-Control", "no-store")
        self._cors.decorate(headers, self.incoming.header("HTTP_ORIGIN"))
        if self.incoming.method == "HEAD" and answer.status_code not in (204, 304):
            length = str(len(answer.get_data()))
            answer.set_data(b"")
            headers["Content-Length"] = length

    def _match(self, path: str) -> tuple[_Endpoint, dict[str, str]]:
        try:
            endpoint, args = self._adapter.match(path, self.incoming.method)
        except exceptions.MethodNotAllowed as error:
            allowed = _allow(error.valid_methods or ())
            raise MethodNotAllowed(headers={"Allow": allowed}) from None
        except exceptions.HTTPException:
            raise NotFound() from None
        return endpoint, dict(args)

    def _options(self, path: str) -> Answer:
        methods = list(self._adapter.allowed_methods(path))
        if not methods:
            raise NotFound()
        allowed = _allow(methods)
        answer = make_answer(b"", 204)
        answer.headers["Allow"] = allowed
        if self.incoming.header("HTTP_ACCESS_CONTROL_REQUEST_METHOD"):
            self._cors.preflight(answer.headers, self.incoming.header("HTTP_ORIGIN"), allowed)
        return answer


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _adapter(endpoints: Sequence[_Endpoint]) -> MapAdapter:
    rules = [Rule(e.route.template, methods=[e.route.method], endpoint=e) for e in endpoints]
    # No redirect of any kind: a 308 breaks a CORS preflight and drops the bearer token.
    table = Map(rules, strict_slashes=True, merge_slashes=False, redirect_defaults=False)
    return table.bind("")


def _allow(methods: Iterable[str]) -> str:
    return ", ".join(sorted({*methods, "OPTIONS"}))


def _not_modified(answer: Answer) -> Answer:
    answer.set_data(b"")
    answer.status_code = 304
    del answer.headers["Content-Type"]
    del answer.headers["Content-Length"]
    return answer


def _health(name: str) -> Routes:
    routes = Routes(tag="health")

    @routes.get("/health")
    def health() -> Health:
        """Say that the function runs."""
        return Health(service=name)

    return routes


def _take_over(framework: Flask, app: App) -> None:
    """Answers what the framework would answer by itself: whatever it refuses comes here."""

    def answer(error: Exception) -> Response:
        return app(current_request._get_current_object())  # type: ignore[attr-defined]

    framework.register_error_handler(Exception, answer)
    # Its catch-all rule would otherwise redirect `//x` to `/x` with an HTML page.
    framework.url_map.merge_slashes = False
    # Mounted below a prefix, the root arrives as an empty path, which it would redirect too.
    serve: WSGIApplication = framework.wsgi_app

    def serve_root(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = environ.get("PATH_INFO") or "/"
        return serve(environ, start_response)

    framework.wsgi_app = serve_root  # type: ignore[method-assign]
