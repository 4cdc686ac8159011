"""What was found to be so a moment ago, and need not be asked again yet.

In the memory of one process, so it is for answers of which an old one does no harm. Technical:
knows no domain.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Holds an answer for `seconds` from the moment at which it was asked for, and `most` of
    them."""

    def __init__(
        self, seconds: float, most: int, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._most = most
        self._ticks = ticks
        self._lock = threading.Lock()
        # When it was asked for; the oldest first.
        self._held: dict[K, tuple[float, V]] = {}

    def now(self) -> float:
        """To be taken before the question: what is found may be that old when it comes."""
        return self._ticks()

    def get(self, key: K) -> V | None:
        held = self._held.get(key)
        return held[1] if held is not None and self._ticks() - held[0] < self._seconds else None

    def __len__(self) -> int:
        return len(self._held)

    def add(self, key: K, answer: V, asked: float) -> None:
        with self._lock:
            # Taken out first, so that what was asked for last stands last.
            self._held.pop(key, None)
            self._held[key] = (asked, answer)
            while len(self._held) > self._most:
                del self._held[next(iter(self._held))]

    def drop(self, key: K) -> None:
        with self._lock:
            self._held.pop(key, None)
