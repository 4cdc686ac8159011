"""What is left of tasks after they are gone, and of tasks that an older version stored.

A deleted task is unreachable from its one commit on; its attachments, comments and invitations,
which may be more than a commit takes, are erased afterwards: by the request itself, or by this job
when the request was cut off. Everything here is bounded per call and safe to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.documents import Delete, Document, DocumentStore, PreconditionFailed, Update
from shared.tasks.model import SCHEMA_VERSION, Task, indexed

BESIDE = ("attachments", "comments", "invitations")
# Each takes up to three queries and a commit; together below half a schedule's minute.
_TASKS_AT_ONCE = 50
_BATCH = 150
_OLD_AT_ONCE = 100


class Remains:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def erase(self, task_id: str) -> bool:
        """True when nothing is left of the deleted task but its tombstone."""
        found = [self._of(name, "task", task_id) for name in BESIDE]
        is_last = all(len(one) < _BATCH for one in found)
        writes: list[Delete | Update] = [Delete(doc.path) for docs in found for doc in docs]
        if is_last:
            writes.append(Update(f"deletedTasks/{task_id}", {"remains": False}))
        self._documents.commit(writes)
        return is_last

    def buried(self, owner: str, task_ids: Sequence[str]) -> set[str]:
        """Those of `task_ids` that were `owner`'s and are deleted."""
        found = self._documents.get_all(f"deletedTasks/{one}" for one in task_ids)
        return {doc.id for doc in found.values() if doc.data["owner"] == owner}

    def erase_some(self) -> int:
        """A part of what deleted tasks left; returns of how many tasks there was something."""
        graves = self._documents.query(
            "deletedTasks", where=[("remains", "==", True)], limit=_TASKS_AT_ONCE
        )
        for grave in graves:
            self.erase(grave.id)
        return len(graves)

    def graves(self, owner: str) -> list[Document]:
        return self._of("deletedTasks", "owner", owner)

    def _of(self, collection: str, name: str, value: str) -> list[Document]:
        return self._documents.query(collection, where=[(name, "==", value)], limit=_BATCH)


class OldTasks:
    """Tasks of an older version, written anew so that every list finds them."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def renew_some(self) -> int:
        """Returns how many; one that changes meanwhile is left for the next run."""
        found = self._documents.query(
            "tasks",
            where=[("schemaVersion", "in", list(range(1, SCHEMA_VERSION)))],
            limit=_OLD_AT_ONCE,
        )
        return sum(self._renew(document) for document in found)

    def _renew(self, document: Document) -> bool:
        task = Task.from_document(document.id, document.data, document.version)
        fields = {**task.fields, **indexed(task.fields, task.owner)}
        # What it says is what it said, so nobody is told and its moment stays.
        changed = {k: v for k, v in fields.items() if document.data.get(k, ...) != v}
        try:
            self._documents.commit([Update(document.path, changed, version=document.version)])
        except PreconditionFailed:
            return False
        return True


class TaskCare:
    """The job of the maintenance function."""

    def __init__(self, documents: DocumentStore) -> None:
        self._remains = Remains(documents)
        self._old = OldTasks(documents)

    def run(self) -> int:
        return self._remains.erase_some() + self._old.renew_some()
