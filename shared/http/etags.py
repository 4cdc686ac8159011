"""Entity tags in conditional requests (RFC 9110, 13.1): the domain's versions on the wire."""

from __future__ import annotations

import re

_MEMBER = re.compile(r'[ \t]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?:,|$)')


def etag_matches(header: str, etag: str) -> bool:
    """Whether a write with that If-Match may go ahead.

    Strong comparison, so a weak tag on either side never matches. `*` matches whatever
    exists. A header that cannot be read matches nothing.
    """
    if header.strip() == "*":
        return True
    return not etag.startswith("W/") and etag in parse_etags(header)


def if_none_match(header: str, etag: str) -> bool:
    """Whether the client already has it: weak comparison, as the RFC asks for GET."""
    if header.strip() == "*":
        return True
    return etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in parse_etags(header)}


def parse_etags(header: str) -> tuple[str, ...]:
    """The tags of a list, quotes and W/ included; empty when any part of it is malformed."""
    tags: list[str] = []
    position = 0
    while position < len(header):
        member = _MEMBER.match(header, position)
        if member is None:
            return ()
        tags.append(member[1])
        position = member.end()
    return tuple(tags)
