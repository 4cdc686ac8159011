"""Places in an order by hand: short texts over `0-9a-z` that sort as they stand.

Between any two there is room for another, so moving a task writes that task only. A place is
chosen at random from the middle of the gap: two people who move into one gap at the same moment
get two places. A new task goes to the top: its place counts the time backwards.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

from shared.errors import Conflict

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASE = len(_DIGITS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 36 ** 11 microseconds last until the year 6140.
_WIDTH = 11
# Among so many places in a gap two random ones are about never the same.
_ROOM = _BASE**4
# What a cursor carries; about nine hundred moves into one and the same gap reach it.
LONGEST = 200


def top(moment: datetime, identifier: str) -> str:
    """Above everything that was put on top before. Ids of ours end in no zero."""
    return "m" + backwards(moment) + identifier[:4]


def bottom(moment: datetime, identifier: str) -> str:
    """Below everything that was put at the bottom before."""
    return "t" + _written(_micros(moment), _WIDTH) + identifier[:4]


def backwards(moment: datetime) -> str:
    """Sorts the newest first."""
    return _written(_BASE**_WIDTH - 1 - _micros(moment), _WIDTH)


def between(low: str | None, high: str | None) -> str:
    """Raises Conflict where there is no room: two tasks at one place, or a gap used up."""
    if low is not None and high is not None and low >= high:
        raise Conflict("These two tasks leave no room between them; move one of them first")
    digits = 1
    while True:
        bottom_value = _number(low or "", digits)
        top_value = _BASE**digits if high is None else _number(high, digits)
        if top_value - bottom_value >= _ROOM and digits >= max(len(low or ""), len(high or "")):
            break
        digits += 1
    gap = top_value - bottom_value
    chosen = bottom_value + gap // 4 + secrets.randbelow(gap // 2) + 1
    place = _written(chosen, digits).rstrip("0")
    if len(place) > LONGEST:
        raise Conflict("There is no more room at this place; move a task beside it first")
    return place


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _number(place: str, digits: int) -> int:
    return int(place[:digits].ljust(digits, "0"), _BASE)


def _written(value: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        value, digit = divmod(value, _BASE)
        text = _DIGITS[digit] + text
    return text
