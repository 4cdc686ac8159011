"""Who left or is leaving: asked before something is written down about somebody for good.

A process remembers for half a minute that somebody was here. Whatever it begins to write then ends
within its function's minute, and an account is emptied 90 seconds after its owner asked for it at
the soonest (erasure.py), so nothing comes to be behind the erasure's back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.documents import DocumentStore
from shared.errors import NotFound
from shared.ids import checked_id
from shared.recent import Recent

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
        self._here: Recent[str, bool] = Recent(REMEMBERED, most, ticks)

    def has_left(self, user: str) -> bool:
        """Also of one who asked for it and is still here; never of one of whom nothing is known.
        Raises Unavailable."""
        if self._here.get(user):
            return False
        asked = self._here.now()
        is_gone = self._is_gone(user)
        if not is_gone:
            self._here.add(user, True, asked)
        return is_gone

    def _is_gone(self, user: str) -> bool:
        try:
            path, tombstone = f"users/{checked_id(user)}", f"tombstones/{user}"
        except NotFound:
            return False
        found = self._documents.get_all([path, tombstone])
        present = found.get(path)
        return tombstone in found or (present is not None and "erasingAt" in present.data)
