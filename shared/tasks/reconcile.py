"""Tasks against their attachments: counts that are wrong, attachments whose task is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from shared.documents import Delete, DocumentStore, PreconditionFailed, Update, Where, Write
from shared.reconcile import Finding, Page

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


class StrayAttachments:
    name = "attachments"

    def __init__(
        self, documents: DocumentStore, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._documents = documents
        self._clock = clock

    def page(self, after: str, *, repair: bool) -> Page:
        found = self._documents.query(
            "attachments",
            order=[("__name__", "ASCENDING")],
            start_after=[after] if after else None,
            limit=_PAGE,
        )
        tasks = self._documents.get_all(f"tasks/{one.data['task']}" for one in found)
        findings = []
        for one in found:
            is_new = one.data["createdAt"] > self._clock() - _GRACE
            if f"tasks/{one.data['task']}" in tasks or is_new:
                continue
            done = repair and _committed(self._documents, Delete(one.path, version=one.version))
            findings.append(Finding("stray-attachment", one.id, done))
        return Page(findings, found[-1].id if len(found) == _PAGE else "")


def _committed(documents: DocumentStore, write: Write) -> bool:
    """False when the document moved meanwhile."""
    with suppress(PreconditionFailed):
        documents.commit([write])
        return True
    return False
