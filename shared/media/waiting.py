"""`Prefer: wait`: an answer that is held until there is something to tell (RFC 7240).

Only a few requests of an instance may wait at a time, because each holds a thread; the others are
answered at once, without `Preference-Applied`, which tells a client to come back by itself.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable

from shared.media.model import COMING, Medium

# Seconds. Below the half minute after which proxies give up on a silent connection.
LONGEST = 20
# Half of the instance's threads (infra/declaration.py).
_SLOTS = 8
# Seconds between two looks: an eighth of what was waited, so that nobody learns of it later than by
# that part. The pipeline takes a third of a second for a photograph, which are ten reads, and a
# tenth for the smallest; whoever waits for a scanner to come back costs one read a second.
_PART = 1 / 8
_FIRST, _SHORTEST, _LONGEST_PAUSE = 0.1, 0.025, 1.0
_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})"?\s*(?=$|[,;])', re.IGNORECASE)


class Waiting:
    def __init__(
        self,
        slots: int = _SLOTS,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slots = threading.BoundedSemaphore(slots)
        self._clock = clock
        self._pause = pause

    def look(
        self, look: Callable[[], Medium], prefer: str | None, known: str | None
    ) -> tuple[Medium, int | None]:
        """What `look` gives, held while it is on its way to ready and still what the entity tags
        in `known` name; without those, until it is settled. Beside it, the seconds that were
        granted, or None."""
        medium = look()
        seconds = _seconds(prefer)
        if seconds is None or not self._slots.acquire(blocking=False):
            return medium, None
        try:
            began = self._clock()
            end = began + seconds
            pause = _FIRST
            while _is_the_same(medium, known) and (left := end - self._clock()) > 0:
                self._pause(min(pause, left))
                medium = look()
                pause = min(max((self._clock() - began) * _PART, _SHORTEST), _LONGEST_PAUSE)
            return medium, seconds
        finally:
            self._slots.release()


def _seconds(prefer: str | None) -> int | None:
    """A preference that cannot be read is none (RFC 7240, section 2)."""
    found = _WAIT.search(prefer or "")
    return min(int(found[1]), LONGEST) if found else None


def _is_the_same(medium: Medium, known: str | None) -> bool:
    # A settled medium may be known or not: nothing is coming that would be worth waiting for.
    return medium.state in COMING and (not known or medium.etag in known)
