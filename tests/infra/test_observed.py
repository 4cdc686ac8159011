"""The metrics stand on lines that the code really writes."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from infra.metrics import METRICS
from shared.documents import MemoryDocuments
from shared.events.model import FinalizedObject
from shared.events.outbox import MemoryPublisher, Outbox, stored
from shared.http.logs import Log
from shared.ids import new_id
from shared.media.model import MediaReady
from shared.signals import Signal, seconds_between, signal
from tests.fixtures.sources import modules, tree

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def lines(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


def test_every_signal_has_a_metric_and_every_metric_a_signal() -> None:
    wanted = {name for one in METRICS for name in re.findall(r'signal="([^"]+)"', one.where)}
    emitted = {
        node.args[0].value
        for path in modules("shared")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "signal"
        and isinstance(node.args[0], ast.Constant)
    }
    assert emitted == wanted == set(get_args(Signal))


@pytest.mark.parametrize("metric", METRICS, ids=lambda one: one.name)
def test_a_metric_reads_fields_that_a_line_has(
    metric: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    log = Log("tasks", "acme")
    log.access("GET", "/", 404, 0.1, request_id="r", trace=None, problem="not-found")
    for name in get_args(Signal):
        signal(name, seconds=1.5)
    found = lines(capsys.readouterr().out)
    matching = [line for line in found if matches(metric.where, line)]
    assert matching
    for line in matching:
        assert {*metric.labels, *([metric.field] if metric.field else [])} <= line.keys()


def matches(where: str, line: dict[str, Any]) -> bool:
    field, operator, value = re.fullmatch(r'jsonPayload\.(\w+)(!?=)"([^"]*)"', where).groups()  # type: ignore[union-attr]
    return field in line and (line[field] == value) == (operator == "=")


def test_a_sweep_tells_the_age_of_the_oldest_event(capsys: pytest.CaptureFixture[str]) -> None:
    documents = MemoryDocuments()
    outbox = Outbox(documents, MemoryPublisher())
    outbox.sweep()
    assert capsys.readouterr().out == ""
    moment = datetime.now(UTC) - timedelta(minutes=10)
    for minutes in (0, 9):
        event = MediaReady(
            id=new_id(),
            occurred_at=moment + timedelta(minutes=minutes),
            media_id=new_id(),
            owner="ada",
            generation="1",
        )
        documents.commit([stored(event)])
    outbox.sweep()
    (line,) = lines(capsys.readouterr().out)
    assert line["signal"] == "outbox.waiting"
    assert 600 <= line["seconds"] < 660


def test_the_moment_of_arrival_is_read_or_left_out() -> None:
    resource = {"bucket": "b", "name": "n", "generation": "1", "size": "2"}
    told = FinalizedObject.from_resource({**resource, "timeCreated": "2026-11-25T12:00:00.5Z"})
    assert told.created == NOON + timedelta(seconds=0.5)
    for odd in ("yesterday", 5, None, "2026-11-25T12:00:00"):
        assert FinalizedObject.from_resource({**resource, "timeCreated": odd}).created is None


def test_two_clocks_that_differ_tell_no_negative_time() -> None:
    assert seconds_between(NOON, NOON - timedelta(seconds=1)) == 0
    assert seconds_between(NOON, NOON + timedelta(seconds=2)) == 2
