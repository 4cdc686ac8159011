"""CPU time of processes, to the nanosecond: psutil's counts come in ticks of a hundredth."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


def spent(processes: Iterable[psutil.Process]) -> float:
    """Seconds on a CPU of all living threads ("/proc/PID/task/TID/schedstat", Linux)."""
    return sum(_of(process.pid) for process in processes) / 1e9


def _of(pid: int) -> int:
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # One that has just ended takes its time along, as those did that ended before.
        with suppress(FileNotFoundError, ProcessLookupError):
            total += int((thread / "schedstat").read_text().split()[0])
    return total
