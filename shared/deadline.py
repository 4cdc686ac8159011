"""The time that is left for the request under way, handed down to every call it makes.

Each external call has bounds of its own; a request that makes five of them in an outage would
still stand for five times as long. Whoever begins the work sets a budget, and a call takes the
smaller of its own bound and what is left. Kept per thread of control (contextvars), so nobody
passes it along. Technical: knows no domain.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_end: ContextVar[float | None] = ContextVar("end", default=None)


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """Bound the calls inside. A budget within another never makes that one longer."""
    token = _end.set(time.monotonic() + left(seconds))
    try:
        yield
    finally:
        _end.reset(token)


def left(bound: float) -> float:
    """Seconds that a call with a `bound` of its own may take; 0 when the time is over."""
    end = _end.get()
    return bound if end is None else max(0.0, min(bound, end - time.monotonic()))
