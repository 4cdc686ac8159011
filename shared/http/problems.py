"""Answers: bodies, problems (RFC 9457) and the headers that every answer carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.datastructures import Headers

from shared.errors import ProductError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

JSON = "application/json"
PROBLEM = "application/problem+json"

# The API answers with data only: nothing of it may be framed, sniffed or run as a page.
# Two years of HSTS is what browsers' preload lists ask for at least half of.
SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Strict-Transport-Security", "max-age=63072000; includeSubDomains"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
)


class Answer(Response):
    """Without a body there is no content type either; flask would claim text/html."""

    default_mimetype = None

    def get_wsgi_headers(self, environ: WSGIEnvironment) -> Headers:
        """As they are: lengths are set where answers are made, and a Location was checked to be
        ASCII (`Reply`). Looking them over again and copying them took a tenth of a small request's
        own CPU."""
        return self.headers


def make_answer(body: bytes, status: int, content_type: str | None = JSON) -> Answer:
    headers = Headers()
    if content_type and body:
        headers["Content-Type"] = content_type
    answer = Answer(body, status, headers)
    if status == 204:
        # RFC 9110, 8.6: none has one.
        del answer.headers["Content-Length"]
    return answer


def stream_answer(chunks: Iterator[bytes], status: int) -> Answer:
    """JSON that is made while it is sent. What fails on the way cuts it off; nothing else can be
    said any more."""
    return Answer(chunks, status, Headers({"Content-Type": JSON}))


def problem(error: ProductError, request_id: str | None = None) -> Answer:
    """The only place that shapes an error body."""
    document: dict[str, object] = {
        "type": f"/problems/{error.slug}",
        "title": error.title,
        "status": error.status,
    }
    if error.detail:
        document["detail"] = error.detail
    if request_id:
        document["instance"] = request_id
    if error.errors:
        document["errors"] = error.errors
    answer = make_answer(json.dumps(document).encode("ascii"), error.status, PROBLEM)
    for name, value in error.headers.items():
        answer.headers[name] = value
    return answer
