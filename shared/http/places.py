"""How many requests one instance works on at once; the next is told at once to come again.

Without it a dependency that answers slowly fills every thread, and the health check waits behind
them until the platform takes the instance for dead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from shared.errors import Unavailable

# Threads that no request may hold: one answers the health check while the other refuses.
_KEPT_FREE = 2


class Places:
    """`count` None is without end, for a process whose server has bounds of its own."""

    def __init__(self, count: int | None) -> None:
        self._free = None if count is None else BoundedSemaphore(count)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Raises Unavailable when there is none."""
        if self._free is None:
            yield
            return
        if not self._free.acquire(blocking=False):
            raise Unavailable("Too much is under way here")
        try:
            yield
        finally:
            self._free.release()


def places_of_threads() -> Places:
    """As many as the server has threads (THREADS, as the buildpack reads it), but for those kept
    free. The declaration gives a function so many more threads than requests at once, so that
    in the cloud the platform starts another instance before this one refuses."""
    threads = os.environ.get("THREADS", "")
    return Places(max(1, int(threads) - _KEPT_FREE) if threads.isdigit() else None)
