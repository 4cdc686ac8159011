"""Tasks against their attachments: counts that are wrong, attachments of which the task or the
medium is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Protocol

from shared.documents import Document, DocumentStore, PreconditionFailed, Update, Where, Write
from shared.reconcile import Finding, Page
from shared.tasks.withdrawal import Withdrawal

_PAGE = 50
# More than a task may carry.
_MOST = 1000
# Attaching and counting are one commit, so this is only for the eyes of whoever reads a report.
_GRACE = timedelta(minutes=15)


class TaskCounts:
    """Attaching and detaching move the task's version, so a count that is written under the
    version read before the attachments is theirs."""

    name = "tasks"

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def page(self, after: str, *, repair: bool) -> Page:
        found = self._documents.query(
            "tasks",
            order=[("__name__", "ASCENDING")],
            start_after=[after] if after else None,
            limit=_PAGE,
        )
        findings = []
        for task in found:
            where: list[Where] = [("task", "==", task.id)]
            count = len(self._documents.query("attachments", where=where, limit=_MOST))
            if count != task.data["mediaCount"]:
                write = Update(task.path, {"mediaCount": count}, version=task.version)
                done = repair and _committed(self._documents, write)
                findings.append(Finding("wrong-count", task.id, done))
        return Page(findings, found[-1].id if len(found) == _PAGE else "")


class Media(Protocol):
    def gone(self, media_ids: Sequence[str], before: datetime) -> set[str]:
        """Those that nobody can have back since that moment or longer."""
        ...


class StrayAttachments:
    name = "attachments"

    def __init__(
        self,
        documents: DocumentStore,
        media: Media,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._media = media
        self._withdrawal = Withdrawal(documents, clock)
        self._clock = clock

    def page(self, after: str, *, repair: bool) -> Page:
        found = self._documents.query(
            "attachments",
            order=[("__name__", "ASCENDING")],
            start_after=[after] if after else None,
            limit=_PAGE,
        )
        settled = self._clock() - _GRACE
        old = [one for one in found if one.data["createdAt"] <= settled]
        tasks = self._documents.get_all(f"tasks/{one.data['task']}" for one in old)
        # One medium of that moment may have no event that takes it off (withdrawal.py).
        gone = self._media.gone([str(one.data["media"]) for one in old], settled)
        findings = []
        for one in old:
            if f"tasks/{one.data['task']}" in tasks and str(one.data["media"]) not in gone:
                continue
            done = repair and self._is_off(one)
            findings.append(Finding("stray-attachment", one.id, done))
        return Page(findings, found[-1].id if len(found) == _PAGE else "")

    def _is_off(self, attachment: Document) -> bool:
        """False when it moved meanwhile."""
        with suppress(PreconditionFailed):
            self._withdrawal.off(str(attachment.data["owner"]), attachment)
            return True
        return False


def _committed(documents: DocumentStore, write: Write) -> bool:
    """False when the document moved meanwhile."""
    with suppress(PreconditionFailed):
        documents.commit([write])
        return True
    return False
