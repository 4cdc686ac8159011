"""One log of everything: each line with its part's name, on the terminal and in .local/log.

Functions write JSON lines for Cloud Logging; a person gets the message of each, the file keeps
them whole.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

# The file is for looking back over a day's work, not an archive.
_LARGEST = 20_000_000
_WIDTH = 11
# Google's emulators tell of every connection; on the terminal only their trouble counts.
_TALKATIVE = ("firestore", "pubsub")
_TROUBLE = ("WARN", "SEVERE", "ERROR", "Exception", "Error:")
_COLOURS = ("36", "33", "32", "35", "34", "96", "93", "92", "95", "94")


class Journal:
    """Writes to `out` for a person and to `file` for `make logs`."""

    def __init__(self, file: Path, out: TextIO = sys.stdout) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size > _LARGEST:
            file.replace(file.with_suffix(".old"))
        self._file = file.open("a", encoding="utf-8", buffering=1)
        self._out = out
        self._colours: dict[str, str] = {}

    def write(self, part: str, line: str) -> None:
        stamp = time.strftime("%H:%M:%S")
        self._file.write(f"{stamp} {part:<{_WIDTH}} {line}\n")
        shown = readable(part, line)
        if shown is not None:
            self._out.write(f"{stamp} {self._name(part)} {shown}\n")
            self._out.flush()

    def say(self, line: str) -> None:
        """The local cloud's own word."""
        self.write("snaptask", line)

    def close(self) -> None:
        self._file.close()

    def _name(self, part: str) -> str:
        name = f"{part:<{_WIDTH}}"
        if not self._out.isatty():
            return name
        colour = self._colours.setdefault(part, _COLOURS[len(self._colours) % len(_COLOURS)])
        return f"\033[{colour}m{name}\033[0m"


def readable(part: str, line: str) -> str | None:
    """What a person reads of a line; None for what only fills the screen."""
    if part in _TALKATIVE and not any(word in line for word in _TROUBLE):
        return None
    record = _structured(line)
    if record is None:
        return line
    message = str(record["message"])
    if record.get("route") == "/health" and record.get("status") == 200:
        return None
    if "ms" in record:
        message += f" {record['ms']} ms"
    if "problem" in record:
        message += f" {record['problem']}"
    trace = record.get("stack_trace")
    return f"{message}\n{trace}" if trace else message


def _structured(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "message" in record else None
