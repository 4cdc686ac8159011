"""The entry point of an event function: verify the sender, read the CloudEvent, answer for it.

functions-framework's own CloudEvent signature parses 60 MB bodies, answers a malformed event with
its Authorization header and turns deep JSON into an HTML page, so the functions use the HTTP
signature and this receiver. 204 acknowledges; 503 asks for another delivery; 4xx refuses what
the platform would never send. Source: Google's "Eventarc: Receive events using Cloud Run" and
"Cloud Pub/Sub: Push subscriptions"; CloudEvents HTTP binding, binary mode.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from flask import Request, Response

from shared.errors import (
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    ProductError,
    TooLarge,
    Unauthenticated,
)
from shared.events.failures import REDRIVE, Delivery, Failures, raw_message, told_again
from shared.events.model import Delivered, FinalizedObject, delivered, notification
from shared.http.json import loads
from shared.http.problems import problem

# An object resource takes 1-2 KB and our own messages less; metadata may add 8 KiB.
_LARGEST = 256 * 1024
FINALIZED = "google.cloud.storage.object.v1.finalized"
_log = logging.getLogger(__name__)


class Sender(Protocol):
    """Knows whether a bearer token is the platform's; raises Unauthenticated."""

    def check(self, token: str) -> None: ...


class SenderSettings(Protocol):
    platform_jwks_url: str
    platform_audience: str
    platform_caller: str


def platform_sender(settings: SenderSettings) -> Sender | None:
    """None in the cloud: there IAM checks the caller before the function sees the request."""
    if not settings.platform_caller:
        return None
    # Imported only where it is used: token verification is a tenth of a cold start.
    from shared.events.sender import PlatformSender

    return PlatformSender(
        settings.platform_jwks_url, settings.platform_audience, settings.platform_caller
    )


def to_each(*takers: Callable[[Delivered], None]) -> Callable[[Delivered], None]:
    """One after the other. When one fails all of them see the event again, as they may anyway."""

    def take(event: Delivered) -> None:
        for one in takers:
            one(event)

    return take


class Receiver:
    """`on_finalized` takes storage events, `on_message` messages of our topics, `on_letter`
    dead letters as they come, `jobs` the schedules' paths. `sender` is None only in the cloud,
    where IAM has checked the caller before the function sees the request. What fails is told to
    `failures`."""

    def __init__(
        self,
        name: str,
        sender: Sender | None,
        *,
        on_finalized: Callable[[FinalizedObject], None] | None = None,
        on_message: Callable[[Delivered], None] | None = None,
        on_letter: Callable[[Mapping[str, Any]], None] | None = None,
        jobs: Mapping[str, Callable[[], object]] | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._name = name
        self._sender = sender
        self._on_finalized = on_finalized
        self._on_message = on_message
        self._on_letter = on_letter
        self._jobs = jobs or {}
        self._failures = failures

    def __call__(self, request: Request) -> Response:
        answer = self._answer(request)
        # The framework reads what is left of the body into memory, however much that is,
        # before it lets the answer go; the server discards it in small pieces instead.
        request.stream = io.BytesIO()
        return answer

    def _answer(self, request: Request) -> Response:
        try:
            if request.path == "/health" and request.method in ("GET", "HEAD"):
                body = json.dumps({"status": "ok", "service": self._name})
                return Response(body, 200, mimetype="application/json")
            if request.method != "POST":
                raise MethodNotAllowed(headers={"Allow": "POST"})
            self._check_sender(request)
            self._handle(request)
        except ProductError as error:
            if error.status >= 500:
                _log.warning("%s: to be delivered again: %s", self._name, error)
            return problem(error)
        except Exception:  # noqa: BLE001 - whatever it is, the event must be delivered again.
            _log.exception("%s: to be delivered again", self._name)
            return problem(ProductError())
        return Response(status=204)

    def _check_sender(self, request: Request) -> None:
        if self._sender is None:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        self._sender.check(token.strip())

    def _handle(self, request: Request) -> None:
        job = self._jobs.get(request.path)
        if job is not None:
            job()
            return
        if request.path != "/" or not (self._on_finalized or self._on_message or self._on_letter):
            raise NotFound
        body = _body(request)
        if request.headers.get("ce-type") == FINALIZED and self._on_finalized:
            event = FinalizedObject.from_resource(body)
            told_at = _moment(request.headers.get("ce-time"))
            handler, delivery = self._on_finalized, Delivery(REDRIVE, told_again(event), told_at)
            self._try(delivery, lambda: handler(event))
            return
        message = body.get("message")
        if not isinstance(message, dict):
            raise MalformedRequest("The event is of no known form")
        if self._on_letter:
            self._on_letter(message)
            return
        source = str(body.get("subscription", "")).rpartition("/")[2]
        self._try(Delivery(source, raw_message(message)), lambda: self._take(message))

    def _take(self, message: Mapping[str, Any]) -> None:
        if self._on_finalized:
            self._on_finalized(notification(message))
        elif self._on_message:
            self._on_message(delivered(message))

    def _try(self, delivery: Delivery, handle: Callable[[], None]) -> None:
        try:
            handle()
        except Exception as error:
            if self._failures is None or not self._failures.note(delivery, error):
                raise


def _body(request: Request) -> Mapping[str, Any]:
    """The JSON object of the request, read up to the cap and never beyond."""
    if (request.content_length or 0) > _LARGEST:
        raise TooLarge
    raw = request.stream.read(_LARGEST + 1)
    if len(raw) > _LARGEST:
        raise TooLarge
    body = loads(raw)
    if not isinstance(body, dict):
        raise MalformedRequest("The event is no JSON object")
    return body


def _moment(text: str | None) -> datetime | None:
    """An event's time; None for one that says none, or none with a zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None
