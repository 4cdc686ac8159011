"""Listings: pages of versions and folded prefixes, at a cost that knows nothing of the total.

A listing is a walk of an ordered index from a cursor (name, generation). A folded prefix costs one
seek, however many objects stand behind it; the page token is the cursor itself.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from emulators.storage.errors import Invalid
from emulators.storage.model import Version

Cursor = tuple[str, int]
# Rows behind a cursor and before a name (None: no end), at most so many.
Rows = Callable[[Cursor, str | None, int], list[Version]]


@dataclass(frozen=True)
class Page:
    items: list[Version]
    prefixes: list[str]
    token: str | None


@dataclass(frozen=True)
class Listing:
    """What a listing asks for; `states` are those whose versions it shows."""

    prefix: str = ""
    delimiter: str = ""
    states: tuple[str, ...] = ("live",)
    start: str = ""
    end: str | None = None
    trailing_delimiter: bool = False
    token: str | None = None
    limit: int = 1000


def page(ask: Listing, rows_after: Rows) -> Page:
    """Versions in the order of their names' UTF-8 bytes, then generations."""
    items: list[Version] = []
    prefixes: list[str] = []
    cursor: Cursor | None = _first(ask)
    ends = [end for end in (ask.end, successor(ask.prefix)) if end is not None]
    stop = min(ends, key=str.encode, default=None)
    while cursor and (room := ask.limit - len(items) - len(prefixes)) > 0:
        rows = rows_after(cursor, stop, room)
        cursor = None if len(rows) < room else (rows[-1].name, rows[-1].generation)
        for row in rows:
            folded = _folded(row.name, ask)
            if folded is None:
                items.append(row)
                continue
            if ask.trailing_delimiter and row.name == folded:
                items.append(row)
            prefixes.append(folded)
            behind = successor(folded)
            cursor = (behind, -1) if behind else None
            break
    if cursor and not rows_after(cursor, stop, 1):
        cursor = None
    return Page(items, prefixes, token(*cursor) if cursor else None)


def successor(prefix: str) -> str | None:
    """The first name behind all that start with `prefix`, or None when there is no end."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # No UTF-8 name holds a surrogate, so the step goes over them.
            following = 0xE000 if last == 0xD7FF else last + 1
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return None


def token(name: str, generation: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([name, generation]).encode()).decode()


def untoken(text: str) -> Cursor:
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(text))
        name.encode()
        return name, max(-1, min(int(generation), 2**63 - 1))
    except (ValueError, TypeError, AttributeError):
        raise Invalid("Invalid page token.") from None


def _first(ask: Listing) -> Cursor:
    if ask.token:
        return untoken(ask.token)
    return max(ask.prefix, ask.start, key=str.encode), -1


def _folded(name: str, ask: Listing) -> str | None:
    """The common prefix that stands for this name in a listing with a delimiter."""
    if not ask.delimiter:
        return None
    end = name.find(ask.delimiter, len(ask.prefix))
    return None if end < 0 else name[: end + len(ask.delimiter)]
