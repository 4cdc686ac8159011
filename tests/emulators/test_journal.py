"""The one log: all of it in the file, what a person reads on the terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from emulators.journal import Journal, readable

ACCESS = {"message": "GET /<task_id> 200", "route": "/<task_id>", "status": 200, "ms": 3.1}


@pytest.mark.parametrize(
    ("part", "line", "shown"),
    [
        ("tasks", json.dumps(ACCESS), "GET /<task_id> 200 3.1 ms"),
        ("tasks", json.dumps(ACCESS | {"problem": "x"}), "GET /<task_id> 200 3.1 ms x"),
        ("tasks", "plain words", "plain words"),
        ("tasks", "{not json", "{not json"),
        ("tasks", '{"no": "message"}', '{"no": "message"}'),
        ("tasks", '{"message": "Boom", "stack_trace": "Traceback: 1"}', "Boom\nTraceback: 1"),
    ],
)
def test_a_structured_line_is_told_in_words(part: str, line: str, shown: str) -> None:
    assert readable(part, line) == shown


def test_health_questions_are_left_out_and_failed_ones_are_not() -> None:
    fine = {"message": "GET /health 200", "route": "/health", "status": 200}
    assert readable("tasks", json.dumps(fine)) is None
    assert readable("tasks", json.dumps(fine | {"status": 503})) is not None


def test_googles_emulators_are_heard_only_in_trouble() -> None:
    assert readable("firestore", "INFO: Detected HTTP/2 connection.") is None
    assert readable("pubsub", "SEVERE: it burns") == "SEVERE: it burns"


def test_the_file_keeps_what_the_terminal_leaves_out(tmp_path: Path) -> None:
    terminal = io.StringIO()
    journal = Journal(tmp_path / "log", terminal)
    journal.write("firestore", "INFO: a connection")
    journal.write("tasks", json.dumps(ACCESS))
    journal.close()
    whole = (tmp_path / "log").read_text()
    assert "INFO: a connection" in whole
    assert json.dumps(ACCESS) in whole
    assert terminal.getvalue().split(maxsplit=1)[1] == "tasks       GET /<task_id> 200 3.1 ms\n"
    assert "\033" not in terminal.getvalue()


def test_a_log_that_grew_large_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulators.journal._LARGEST", 10)
    for _ in range(2):
        journal = Journal(tmp_path / "log", io.StringIO())
        journal.say("many words")
        journal.close()
    assert (tmp_path / "log").read_text().count("many words") == 1
    assert (tmp_path / "log.old").exists()
