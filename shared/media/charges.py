"""What a medium takes of its owner's quota: a function of the medium's document alone.

So the usage of an owner is at any time the sum over his media, whoever recomputes it; and a change
of state moves it by the difference, in the commit that makes the change. Every medium counts with
its own size, also when two of them share their bytes: what erasing one gives back must not depend
on the other. And each takes a place, however small it is, until it is deleted: a rejected one takes
no bytes, but is kept and shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.media.model import COMING

NAMES = ("reservedBytes", "usedBytes", "count", "trashedBytes", "places")


def charge(fields: Mapping[str, Any]) -> dict[str, int]:
    """Reserved until the bytes are settled, and for a cancelled upload until its URL is dead;
    used from then on, in the trash too."""
    state, size = fields["state"], int(fields["size"])
    place = {"places": 1}
    if state in COMING or (state == "deleted" and fields.get("heldUntil") is not None):
        return place | {"reservedBytes": size}
    if state == "deleted":
        return {}
    if state == "rejected":
        return place
    kept = place | {"usedBytes": size, "count": 1}
    return kept | {"trashedBytes": size} if state == "trashed" else kept


def difference(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> dict[str, int]:
    """What the usage must be moved by; empty when nothing changes."""
    old = charge(before) if before else {}
    new = charge(after) if after else {}
    steps = {name: new.get(name, 0) - old.get(name, 0) for name in NAMES}
    return {name: step for name, step in steps.items() if step}
