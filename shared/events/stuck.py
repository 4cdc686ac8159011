"""Events that stay in the outbox although it is swept every minute: nobody takes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shared.documents import DocumentStore
from shared.reconcile import Finding, Page

# Sixty sweeps; an outage of the topic that lasts longer is known otherwise.
_GRACE = timedelta(hours=1)
_PAGE = 100


class StuckEvents:
    name = "outbox"

    def __init__(
        self, documents: DocumentStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._documents = documents
        self._clock = clock

    def page(self, after: str, *, repair: bool) -> Page:
        """Reported only: the sweep is what repairs them."""
        found = self._documents.query(
            "outbox",
            order=[("__name__", "ASCENDING")],
            start_after=[after] if after else None,
            limit=_PAGE,
        )
        oldest = self._clock() - _GRACE
        findings = [
            Finding("stuck-event", document.id, False)
            for document in found
            if document.data["createdAt"] < oldest
        ]
        return Page(findings, found[-1].id if len(found) == _PAGE else "")
