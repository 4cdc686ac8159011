"""Whether a session still is: what an access token, once signed, cannot say itself.

Asked before every write and before what leaves the house (`live` routes). A process remembers a
good answer for half a minute, so a device that was signed out can write that much longer
elsewhere, and a request costs no read of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from shared.documents import DocumentStore
from shared.errors import Unauthenticated
from shared.http import Principal
from shared.identity.session_model import Session
from shared.ids import checked_id
from shared.recent import Recent

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
        self._clock = clock
        # By session and user.
        self._good: Recent[tuple[str, str], bool] = Recent(remembered, most, ticks)

    def check(self, caller: Principal) -> None:
        """Raises Unauthenticated, and Unavailable when there is no knowing."""
        key = (caller.session, caller.user)
        if self._good.get(key):
            return
        asked = self._good.now()
        if not self._is_alive(caller):
            self._good.drop(key)
            raise Unauthenticated
        self._good.add(key, True, asked)

    def _is_alive(self, caller: Principal) -> bool:
        session_path = f"sessions/{checked_id(caller.session)}"
        user_path = f"users/{checked_id(caller.user)}"
        found = self._documents.get_all([session_path, user_path])
        document, user = found.get(session_path), found.get(user_path)
        if document is None or user is None:
            return False
        session = Session.from_document(document.id, document.data, document.version)
        return session.user == caller.user and session.is_alive(user.data, self._clock())
