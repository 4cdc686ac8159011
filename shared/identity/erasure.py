"""Erases accounts whose owners asked for it: domain by domain, then the address and the user.

The account was closed when it was asked for (accounts.py), so nothing new comes to be; this job
can be killed anywhere and goes on where it was, because it asks every domain again what is left.
In the end there is a tombstone, and a record in the audit trail: an id and two moments.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from shared.documents import Create, Delete, Document, DocumentStore, PreconditionFailed
from shared.errors import Unavailable
from shared.events import outbox
from shared.identity.model import AccountErased
from shared.ids import derived_id

SCHEMA_VERSION = 1
# Processes remember for half a minute that a session was good (live.py); and what was under way
# in them ends with its function's minute.
SETTLED = timedelta(seconds=90)
# Seconds of one run, which is followed by the next; the function has 300.
_RUN = 120.0
_PAGE = 50
# Deleted in one commit.
_BATCH = 200
_log = logging.getLogger(__name__)


class Domain(Protocol):
    def erase_owner(self, owner: str) -> bool:
        """A bounded part of what `owner` has there; True when nothing is left. Safe to repeat."""
        ...


class OwnedDocuments:
    """A domain that is no more than documents which name in `field` whose they are."""

    def __init__(self, documents: DocumentStore, collection: str, field: str = "owner") -> None:
        self._documents = documents
        self._collection = collection
        self._field = field

    def erase_owner(self, owner: str) -> bool:
        found = self._documents.query(
            self._collection, where=[(self._field, "==", owner)], limit=_BATCH
        )
        if found:
            self._documents.commit([Delete(one.path) for one in found])
        return len(found) < _BATCH


class Erasure:
    def __init__(
        self,
        documents: DocumentStore,
        domains: Sequence[Domain],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = documents
        self._domains = domains
        self._clock = clock
        self._ticks = ticks

    def run(self) -> int:
        """Erases what is due, the oldest wish first, for about two minutes; returns how many
        accounts are gone. One that fails keeps no other waiting. Raises Unavailable at the end
        when one did."""
        end = self._ticks() + _RUN
        gone, failed = 0, 0
        after: list[object] | None = None
        while self._ticks() < end:
            users = self._due(after)
            for user in users:
                try:
                    gone += self._erase(user, end)
                except Exception:  # noqa: BLE001 -- whatever it is, the others are not to wait for it.
                    _log.exception("erasure: %s waits for the next run", user.id)
                    failed += 1
            if len(users) < _PAGE:
                break
            after = [users[-1].data["erasingAt"], users[-1].id]
        if failed:
            raise Unavailable(f"{failed} accounts could not be erased now")
        return gone

    def _due(self, after: list[object] | None) -> list[Document]:
        return self._documents.query(
            "users",
            where=[("erasingAt", "<=", self._clock() - SETTLED)],
            order=[("erasingAt", "ASCENDING"), ("__name__", "ASCENDING")],
            start_after=after,
            limit=_PAGE,
        )

    def _erase(self, user: Document, end: float) -> bool:
        for domain in self._domains:
            while not domain.erase_owner(user.id):
                if self._ticks() >= end:
                    return False
        return self._bury(user)

    def _bury(self, user: Document) -> bool:
        now = self._clock()
        claims = self._documents.query("emails", where=[("user", "==", user.id)], limit=_BATCH)
        tombstone = {
            "requestedAt": user.data["erasingAt"],
            "erasedAt": now,
            "schemaVersion": SCHEMA_VERSION,
        }
        event = AccountErased(
            id=derived_id(AccountErased.type, user.id), occurred_at=now, owner=user.id
        )
        try:
            self._documents.commit(
                [
                    Create(f"tombstones/{user.id}", tombstone),
                    Delete(user.path, version=user.version),
                    *(Delete(claim.path) for claim in claims),
                    outbox.stored(event),
                ]
            )
        except PreconditionFailed:
            # It was changed since it was read (its address claimed anew): the next run sees it.
            return False
        return True
