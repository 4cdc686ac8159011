"""The metrics stand on lines that the code really writes."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from infra.dashboard import dashboard
from infra.metrics import BOUNDS, LOST, METRICS, SETTLED, UNPUBLISHED, UNSCANNED
from infra.runbook import ALERTS, OBJECTIVES, page
from shared.documents import MemoryDocuments
from shared.errors import Unavailable
from shared.events.model import FinalizedObject
from shared.events.outbox import MemoryPublisher, Outbox, stored
from shared.http.logs import Log
from shared.ids import new_id
from shared.media.expiry import UploadExpiry
from shared.media.model import MediaReady
from shared.reconcile import Finding, Page, Reconciler
from shared.signals import Signal, seconds_between, signal
from tests.fixtures.sources import ROOT, modules, tree
from tests.media.world import BUCKETS, PHOTO, MediaWorld

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
        signal(name, seconds=1.5, kind="wrong-usage", outcome="left")
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


def emitted_kinds() -> set[str]:
    """Each kind of finding that the product's code names."""
    found = set()
    for path in modules("shared"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                kind = node.args[0]
                found |= {kind.value} if isinstance(kind, ast.Constant) else set()
    return found


def test_kinds_that_alerts_and_objectives_name_are_found_by_the_code() -> None:
    assert set(LOST) | {"wrong-usage"} <= emitted_kinds()


def test_a_run_of_the_reconciler_tells_each_finding_even_when_it_ends_in_an_outage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Step:
        name = "step"

        def page(self, after: str, *, repair: bool) -> Page:
            if after:
                raise Unavailable
            found = [Finding("wrong-usage", "ada", True), Finding("missing-original", "m", False)]
            return Page(found, "m")

    with pytest.raises(Unavailable):
        Reconciler(MemoryDocuments(), [Step()]).run()
    told = [
        (line["signal"], line["severity"], line["kind"], line["subject"], line["outcome"])
        for line in lines(capsys.readouterr().out)
    ]
    assert told == [
        ("reconciler.found", "WARNING", "wrong-usage", "ada", "repaired"),
        ("reconciler.found", "WARNING", "missing-original", "m", "left"),
    ]


def test_a_report_signals_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    class Step:
        name = "step"

        def page(self, after: str, *, repair: bool) -> Page:
            return Page([Finding("wrong-usage", "ada", repair)], "")

    assert len(list(Reconciler(MemoryDocuments(), [Step()]).report())) == 1
    assert len(list(Reconciler(MemoryDocuments(), [Step()]).mend(1))) == 1
    assert capsys.readouterr().out == ""


def test_the_age_of_the_oldest_file_without_a_verdict_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    world = MediaWorld(MemoryDocuments())
    events = [world.put(world.announce(PHOTO), PHOTO) for _ in range(2)]
    expiry = UploadExpiry(
        world.store, world.objects, BUCKETS.inbox, lambda: NOON + timedelta(minutes=20)
    )
    expiry.run()
    assert capsys.readouterr().out == "", "what waits to arrive is not in scanning"

    def down(call: str) -> None:
        if call == "scan":
            raise Unavailable

    world.watch = down
    for event in events:
        with pytest.raises(Unavailable):
            world.pipeline(event)
    expiry.run()
    (line,) = lines(capsys.readouterr().out)
    assert (line["signal"], line["seconds"]) == ("scan.waiting", 1200)
    world.watch = lambda call: None
    for event in events:
        world.pipeline(event)
    capsys.readouterr()
    expiry.run()
    assert capsys.readouterr().out == ""


def test_what_an_objective_or_alert_compares_seconds_with_is_a_bound_of_the_histogram() -> None:
    """Otherwise percentiles and cuts are interpolated between its neighbours."""
    assert {SETTLED, UNPUBLISHED, UNSCANNED} <= set(BOUNDS)
    assert sorted(set(BOUNDS)) == BOUNDS
    assert len(BOUNDS) <= 200


def test_the_dashboard_shows_every_metric() -> None:
    shown = json.dumps(dashboard())
    assert [one.name for one in METRICS if one.name not in shown] == []


def test_the_page_for_whoever_is_woken_is_what_the_alerts_carry() -> None:
    assert (ROOT / "docs" / "runbook.md").read_text() == page()


def test_every_command_of_the_runbook_exists(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own tools are parsed with their options; of the others only the first word is ours."""
    commands = [run for one in (*ALERTS.values(), *OBJECTIVES.values()) for run in one.run]
    ours = [shlex.split(one)[2:] for one in commands if one.startswith("python ")]
    assert {name for name, *_ in ours} == {"tools.deadletters", "tools.reconcile"}
    for name, *options in ours:
        module = importlib.import_module(name)
        known = ["a" * 20 if one == "ID" else one for one in options]
        with pytest.raises(SystemExit) as ended:
            module.main([*known, "--help"])
        assert ended.value.code == 0
        if name == "tools.deadletters":
            module._parse(known)
    others = {one.split()[0] for one in commands} - {"python"}
    assert others == {"gcloud", "curl"}
