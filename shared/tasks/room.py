"""How many tasks one person may have.

They are counted by the database when one is created; a count costs a read for each thousand. It
lets so many more be created without another one as are sure to have room: a small part of what is
left, for half a minute. Nothing reserves a place, so those that are created at once for somebody
who is about to be full may pass the limit by as many.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from shared.errors import OverQuota
from shared.recent import Recent
from shared.tasks.store import TaskStore

# More than anybody works through; an export and an erasure of so many take minutes.
MOST_TASKS = 10_000
# One part of so many is below what twenty instances, the most there are, can fill together.
_PARTS = 100
_REMEMBERED = 30.0
# People. Each takes about 200 bytes; more than one process serves in half a minute.
_PEOPLE = 10_000


class Room:
    def __init__(self, store: TaskStore, ticks: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        # By owner; whichever thread takes the next of them, no other gets the same.
        self._sure: Recent[str, Iterator[int]] = Recent(_REMEMBERED, _PEOPLE, ticks)

    def check(self, owner: str) -> None:
        """Before each task that is created. Raises OverQuota when the owner has all he may."""
        sure = self._sure.get(owner)
        if sure is not None and next(sure, None) is not None:
            return
        asked = self._sure.now()
        left = MOST_TASKS - self._store.number(owner, MOST_TASKS)
        if left <= 0:
            raise OverQuota(f"An account has at most {MOST_TASKS:,} tasks; delete some first")
        self._sure.add(owner, iter(range(left // _PARTS)), asked)
