"""Requests at a fixed rate, whether or not the earlier ones were answered.

A client that waits for each answer asks less while the server is slow, and so leaves out of its
numbers what it would have waited ("coordinated omission"). Here every request has its moment, and
its time counts from that moment on, even when the client itself was late.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence


async def at_rate(
    call: Callable[[int], Awaitable[object]],
    *,
    per_second: float,
    count: int,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[float]:
    """Seconds from the moment each request was due to its answer. Raises what a call raises."""
    start = now()

    async def one(number: int) -> float:
        due = start + number / per_second
        await sleep(max(0.0, due - now()))
        await call(number)
        return now() - due

    return list(await asyncio.gather(*map(one, range(count))))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
