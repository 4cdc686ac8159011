"""A value that another service owns: kept for a while, and kept on when its owner is out of reach.

Keys are read this way (shared/jwks.py, shared/identity/keys.py): they change about never, and an
outage of their owner must not become one of ours. Technical: knows no domain.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from shared.errors import Unavailable

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Cached(Generic[T]):
    """`fetch` raises Unavailable. Seconds: a value is renewed when older than `live`; the owner
    is asked at most once in `pause`, and once in `first_pause` while there is no value at all."""

    def __init__(
        self,
        fetch: Callable[[], T],
        *,
        live: float,
        pause: float,
        first_pause: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._live = live
        self._pause = pause
        self._first_pause = first_pause
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[T, float] | None = None
        self._asked = float("-inf")

    def get(self, suffices: Callable[[T], bool] = lambda _: True) -> T:
        """The value; one that does not suffice is renewed early, once in `pause`, and then given
        as it is. Raises Unavailable when there has never been a value."""
        held = self._held
        if held is None or not self._is_good(held, suffices):
            # Whom an old value serves need not wait for its renewal by another thread.
            waits = held is None or not suffices(held[0])
            if self._lock.acquire(blocking=waits):
                try:
                    self._renew()
                finally:
                    self._lock.release()
            held = self._held
        if held is None:
            raise Unavailable
        return held[0]

    def _is_good(self, held: tuple[T, float], suffices: Callable[[T], bool]) -> bool:
        value, fetched = held
        return self._clock() - fetched <= self._live and suffices(value)

    def _renew(self) -> None:
        """Unless another thread just did, or tried."""
        pause = self._first_pause if self._held is None else self._pause
        if self._clock() - self._asked < pause:
            return
        try:
            self._held = (self._fetch(), self._clock())
        except Unavailable as error:
            _log.warning("cached: kept the old value, as the owner said: %s", error)
        finally:
            # After the call, or a slow refusal would be asked for again by whoever waited for it.
            self._asked = self._clock()
