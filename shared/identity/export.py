"""All that is stored about somebody, as one JSON document, for him.

It is written page by page while it is sent, so that its size is nobody's memory. The first page is
read before the answer begins: an outage then is a 503. One that comes later cuts the document off,
which shows, because `complete` stands at its end.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from shared.documents import DocumentStore
from shared.errors import Unauthenticated, Unavailable

# Documents of a page: about 200 KB of tasks with long texts.
_PAGE = 100
# What serves the machinery, or would let a copy of the export be guessed at.
_HIDDEN = frozenset({"commitId", "passwordHash", "schemaVersion"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Section:
    """A collection whose documents name in `field` whose they are."""

    collection: str
    field: str = "owner"


class Export:
    def __init__(self, documents: DocumentStore, sections: Sequence[Section]) -> None:
        self._documents = documents
        self._sections = sections

    def of(self, user_id: str, now: datetime) -> Iterator[bytes]:
        """Raises Unauthenticated when there is no such user, Unavailable before the first byte."""
        user = self._documents.get(f"users/{user_id}")
        if user is None:
            raise Unauthenticated
        head = {"exportedAt": now, "user": {"id": user_id, **_shown(user.data)}}
        start = _json(head)[:-1] + b',"collections":{'
        rest = self._rest(user_id)
        return chain([start + next(rest)], rest)

    def _rest(self, user_id: str) -> Iterator[bytes]:
        try:
            for number, section in enumerate(self._sections):
                name = (b"," if number else b"") + _json(section.collection) + b":["
                for first, page in self._pages(section, user_id):
                    yield (name if first else b"," if page else b"") + page
                yield b"]"
            yield b'},"complete":true}'
        except Unavailable:
            _log.warning("export: cut off, the database does not answer")
            raise

    def _pages(self, section: Section, user_id: str) -> Iterator[tuple[bool, bytes]]:
        """At least one, which may be empty."""
        after: str | None = None
        while True:
            found = self._documents.query(
                section.collection,
                where=[(section.field, "==", user_id)],
                order=[("__name__", "ASCENDING")],
                start_after=None if after is None else [after],
                limit=_PAGE,
            )
            shown = [_json({"id": one.id, **_shown(one.data)}) for one in found]
            yield after is None, b",".join(shown)
            if len(found) < _PAGE:
                return
            after = found[-1].id


def _shown(data: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in data.items() if name not in _HIDDEN}


def _json(value: Any) -> bytes:
    return json.dumps(value, default=_text, ensure_ascii=False, separators=(",", ":")).encode()


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(type(value).__name__)
