"""Who left or is leaving: asked before something is written down about somebody for good.

A process remembers for half a minute that somebody was here. Whatever it begins to write then ends
within its function's minute, and an account is emptied 90 seconds after its owner asked for it at
the soonest (erasure.py), so nothing comes to be behind the erasure's back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shared.documents import DocumentStore
from shared.errors import NotFound
from shared.ids import checked_id

# Seconds, as long as a session is remembered to be good (live.py).
REMEMBERED = 30.0
# People. Each takes about 100 bytes; more than one process hears of in half a minute.
_MOST = 10_000


class Departed:
    def __init__(
        self,
        documents: DocumentStore,
        *,
        most: int = _MOST,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = documents
        self._most = most
        self._ticks = ticks
        self._lock = threading.Lock()
        # By user, when the answer was asked for; the oldest first.
        self._here: dict[str, float] = {}

    def has_left(self, user: str) -> bool:
        """Also of one who asked for it and is still here; never of one of whom nothing is known.
        Raises Unavailable."""
        asked = self._ticks()
        known = self._here.get(user)
        if known is not None and asked - known < REMEMBERED:
            return False
        if self._is_gone(user):
            return True
        with self._lock:
            # Taken out first, so that what was asked for last stands last.
            self._here.pop(user, None)
            self._here[user] = asked
            while len(self._here) > self._most:
                del self._here[next(iter(self._here))]
        return False

    def _is_gone(self, user: str) -> bool:
        try:
            path, tombstone = f"users/{checked_id(user)}", f"tombstones/{user}"
        except NotFound:
            return False
        found = self._documents.get_all([path, tombstone])
        present = found.get(path)
        return tombstone in found or (present is not None and "erasingAt" in present.data)
