"""More than an instance can do: it says so at once, and still says that it lives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from shared.deadline import left
from shared.http import App, Model, Routes

# Seconds after which a test gives up waiting for another thread.
PATIENCE = 10


class Seen(Model):
    left: float


class Held:
    """An App with a handler that waits until it is let go."""

    def __init__(self, **options: float) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        routes = Routes(tag="held")

        @routes.get("/held")
        def held() -> Seen:
            """Wait."""
            self.begun.release()
            assert self.go.wait(PATIENCE)
            return Seen(left=left(1000))

        @routes.get("/broken")
        def broken() -> Seen:
            """Fail."""
            raise RuntimeError("on request")

        @routes.get("/now", **options)
        def now() -> Seen:
            """Say how long the calls of this request may take."""
            return Seen(left=left(1000))

        self.app = App("held", routes)

    def get(self, path: str) -> Response:
        return self.app(Request(EnvironBuilder(path).get_environ()))


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "4")


def filled(held: Held, threads: ThreadPoolExecutor) -> list[Callable[[], Response]]:
    """Both places that four threads leave are taken."""
    under_way = [threads.submit(held.get, "/held").result for _ in range(2)]
    for _ in under_way:
        assert held.begun.acquire(timeout=PATIENCE)
    return under_way


@pytest.mark.usefixtures("four_threads")
def test_a_full_instance_refuses_at_once_with_a_hint_and_serves_again_after() -> None:
    held = Held()
    with ThreadPoolExecutor(2) as threads:
        under_way = filled(held, threads)
        for path in ("/held", "/now"):
            refused = held.get(path)
            assert refused.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            assert refused.headers["Retry-After"] == "1"
            assert refused.mimetype == "application/problem+json"
        held.go.set()
        assert [one().status_code for one in under_way] == [200, 200]
    assert held.get("/now").status_code == 200


@pytest.mark.usefixtures("four_threads")
def test_a_full_instance_is_still_healthy() -> None:
    held = Held()
    with ThreadPoolExecutor(2) as threads:
        filled(held, threads)
        assert held.get("/health").status_code == 200
        assert held.get("/nothing").status_code == 404
        held.go.set()


@pytest.mark.usefixtures("four_threads")
def test_a_failing_request_gives_its_place_back() -> None:
    held = Held()
    assert [held.get("/broken").status_code for _ in range(5)] == [500] * 5
    assert held.get("/now").status_code == 200


def seconds(held: Held) -> float:
    return float(held.get("/now").get_json()["left"])


def test_a_handler_has_ten_seconds_or_what_its_route_says() -> None:
    assert 9 < seconds(Held()) <= 10
    assert 39 < seconds(Held(budget=40.0)) <= 40
