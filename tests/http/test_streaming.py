"""A body that is made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder, run_wsgi_app

from shared.http import App, Model, Reply, Routes


class Many(Model):
    items: tuple[int, ...]


def asked(made: list[str], fails: bool = False) -> Any:
    routes = Routes(tag="t")

    def chunks() -> Iterator[bytes]:
        for part in ('{"items":[1', ",2", "]}"):
            if fails and part == "]}":
                raise RuntimeError("in the middle")
            made.append(part)
            yield part.encode()

    @routes.post("/many", status=201)
    def many() -> Reply[Many]:
        """Make many."""
        return Reply(chunks(), headers={"X-Kind": "stream"})

    app = App("t", routes)
    return app(Request(EnvironBuilder("/many", method="POST").get_environ()))


def test_nothing_is_made_before_it_is_asked_for_and_all_of_it_arrives() -> None:
    made: list[str] = []
    answer = asked(made)
    assert made == []
    assert (answer.status_code, answer.content_type) == (201, "application/json")
    assert answer.headers["X-Kind"] == "stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    # Its length is nobody's guess.
    assert "Content-Length" not in answer.headers
    body, _, _ = run_wsgi_app(answer, EnvironBuilder("/many").get_environ())
    assert b"".join(body) == b'{"items":[1,2]}'
    assert made == ['{"items":[1', ",2", "]}"]


def test_what_fails_on_the_way_is_cut_off_and_does_not_look_whole() -> None:
    answer = asked([], fails=True)
    got: list[Any] = []
    with pytest.raises(RuntimeError):
        got.extend(answer.response)
    assert b"".join(got) == b'{"items":[1,2'
