"""Whether a session still is: what an access token, once signed, cannot say itself.

Asked before every write and before what leaves the house (`live` routes). A process remembers a
good answer for half a minute, so a device that was signed out can write that much longer
elsewhere, and a request costs no read of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from shared.documents import DocumentStore
from shared.errors import Unauthenticated
from shared.http import Principal
from shared.identity.session_model import Session
from shared.ids import checked_id

# Seconds; what signing out promises to hold within, everywhere.
REMEMBERED = 30.0
# Sessions. Each takes about 200 bytes; more than one process serves in half a minute.
_MOST = 10_000


class LiveSessions:
    """A shared.http SessionCheck. `remembered` is in seconds; 0 asks every time."""

    def __init__(
        self,
        documents: DocumentStore,
        *,
        remembered: float = REMEMBERED,
        most: int = _MOST,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = documents
        self._remembered = remembered
        self._most = most
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        # By session and user, when the answer was asked for; the oldest first.
        self._good: dict[tuple[str, str], float] = {}

    def check(self, caller: Principal) -> None:
        """Raises Unauthenticated, and Unavailable when there is no knowing."""
        key = (caller.session, caller.user)
        # Before the read: what it finds may be that old already when it comes.
        asked = self._ticks()
        known = self._good.get(key)
        if known is not None and asked - known < self._remembered:
            return
        if not self._is_alive(caller):
            with self._lock:
                self._good.pop(key, None)
            raise Unauthenticated
        if self._remembered:
            self._remember(key, asked)

    def _is_alive(self, caller: Principal) -> bool:
        session_path = f"sessions/{checked_id(caller.session)}"
        user_path = f"users/{checked_id(caller.user)}"
        found = self._documents.get_all([session_path, user_path])
        document, user = found.get(session_path), found.get(user_path)
        if document is None or user is None:
            return False
        session = Session.from_document(document.id, document.data, document.version)
        return session.user == caller.user and session.is_alive(user.data, self._clock())

    def _remember(self, key: tuple[str, str], asked: float) -> None:
        with self._lock:
            # Taken out first, so that what was asked for last stands last.
            self._good.pop(key, None)
            self._good[key] = asked
            while len(self._good) > self._most:
                del self._good[next(iter(self._good))]
