"""Figures that alerts and objectives stand on, as one JSON line each on stdout.

Each name has a log-based metric in infra/metrics.py, and a test compares the two: a metric whose
name nothing emits is an alert that never comes.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Literal

Signal = Literal[
    "outbox.waiting", "reconciler.found", "scan.waiting", "signatures.old", "upload.settled"
]


def signal(name: Signal, *, severity: str = "INFO", **values: float | str) -> None:
    line = {"severity": severity, "message": name, "signal": name, **values}
    # One write keeps the lines of parallel requests whole; stdout is a pipe, hence flush.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def seconds_between(earlier: datetime, later: datetime) -> float:
    """Never negative: two machines' clocks differ by some milliseconds."""
    return round(max(0.0, (later - earlier).total_seconds()), 3)
