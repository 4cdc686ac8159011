"""Rate limits that hold across processes: reserve first, then do the work.

A limiter that reads a number and writes it later lets everybody through who comes in between.
This one counts up and looks at what the number became, in one round trip, so of a hundred
guesses at once exactly the limit passes. A number belongs to a fixed window of time: up to twice
the limit can pass around the turn of a window, never more. A reply that gets lost may count twice,
which is the safe side. A limiter that cannot count lets nobody through (Unavailable): its
database is also the one that every limited request needs.

Keys are hashes or ids, never addresses: the collection outlives the request. Technical: knows no
domain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.documents import Count, DocumentStore
from shared.errors import TooManyRequests

# Beyond twice its limit a number is not worth counting on: the process remembers that and spares
# the database the rest of a flood. Not earlier, because what was given back must be seen.
_HOPELESS = 2
# Remembered at once, each about 200 bytes.
_REMEMBERED = 1000


@dataclass(frozen=True, slots=True)
class Limit:
    """`most` in `window` (whole seconds); `name` is part of a document's id."""

    name: str
    most: int
    window: int


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was counted, to be given back."""

    counts: tuple[Count, ...]


class Limiter:
    def __init__(
        self, documents: DocumentStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.Lock()
        self._hopeless: dict[str, datetime] = {}

    def reserve(self, *wanted: tuple[Limit, str]) -> Reserved:
        """One of each (limit, key), in one round trip. Raises TooManyRequests with the seconds
        until the longest of the full windows ends; all are counted even so."""
        now = self._clock()
        places = [(limit, *_place(limit, key, now)) for limit, key in wanted]
        self._refuse_hopeless([path for _, path, _ in places], now)
        counts = tuple(Count(path, {"expireAt": end}) for _, path, end in places)
        numbers = self._documents.count(counts)
        full = []
        for (limit, path, end), number in zip(places, numbers, strict=True):
            if number > limit.most:
                full.append(end)
            if number > limit.most * _HOPELESS:
                self._remember(path, end)
        if full:
            raise _too_many(max(full), now)
        return Reserved(counts)

    def give_back(self, *reserved: Reserved, also: Sequence[Count] = ()) -> None:
        """For work that turned out harmless; `also` is counted in the same round trip."""
        back = [Count(one.path, one.fields, step=-1) for each in reserved for one in each.counts]
        self._documents.count([*back, *also])

    def _refuse_hopeless(self, paths: Sequence[str], now: datetime) -> None:
        with self._lock:
            ends = [end for path in paths if (end := self._hopeless.get(path)) and end > now]
        if ends:
            raise _too_many(max(ends), now)

    def _remember(self, path: str, end: datetime) -> None:
        with self._lock:
            if len(self._hopeless) >= _REMEMBERED:
                self._hopeless.pop(next(iter(self._hopeless)))
            self._hopeless[path] = end


def _place(limit: Limit, key: str, now: datetime) -> tuple[str, datetime]:
    """The number's document and the end of its window, which is when the document may go."""
    number = int(now.timestamp()) // limit.window
    end = datetime.fromtimestamp((number + 1) * limit.window, UTC)
    return f"rateLimits/{limit.name}-{number}-{key}", end


def _too_many(end: datetime, now: datetime) -> TooManyRequests:
    seconds = (end - now) / timedelta(seconds=1)
    return TooManyRequests(retry_after=max(1, int(seconds) + 1))
