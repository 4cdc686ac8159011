"""A document store in memory, for tests that need no emulator; the same contract suite as
the Firestore one runs over it. One lock, deep copies in and out, versions that only grow.
What Firestore would refuse to keep is refused here too, or a fast test proves nothing."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.documents.indexes import Index, check_query
from shared.documents.model import (
    COMMIT_ID,
    KEY,
    Add,
    AlreadyExists,
    Count,
    Create,
    Delete,
    Document,
    Order,
    PreconditionFailed,
    Sums,
    Update,
    Where,
    Write,
    check_commit,
    check_counts,
    check_item,
    check_path,
    new_commit_id,
    summed,
)


class MemoryDocuments:
    """`indexes` are the declared composite indexes, as (collection, fields)."""

    def __init__(self, indexes: Sequence[Index] | None = None) -> None:
        self._indexes = indexes
        self._lock = threading.Lock()
        self._documents: dict[str, Document] = {}
        self._clock = 0

    def get(self, path: str) -> Document | None:
        return self.get_all([path]).get(path)

    def get_all(self, paths: Iterable[str]) -> dict[str, Document]:
        wanted = [check_path(path) for path in paths]
        with self._lock:
            return {p: copy.deepcopy(self._documents[p]) for p in wanted if p in self._documents}

    def query(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order: Sequence[Order] = (),
        start_after: Sequence[Any] | None = None,
        limit: int = 100,
        fields: Sequence[str] = (),
    ) -> list[Document]:
        if self._indexes is not None:
            check_query(collection, where, order, self._indexes)
        keys = list(order) or [(KEY, "ASCENDING")]
        if start_after is not None:
            for (name, _), value in zip(order, start_after, strict=True):
                if name == KEY:
                    check_path(f"{collection}/{value}")
        with self._lock:
            found = [
                doc
                for doc in self._documents.values()
                if doc.path.startswith(collection + "/")
                and all(_matches(doc, clause) for clause in where)
                and all(name == KEY or name in doc.data for name, _ in keys)
            ]
            for name, direction in reversed(keys):
                found.sort(key=lambda d: _rank(_value(d, name)), reverse=direction == "DESCENDING")
            if start_after is not None:
                found = [doc for doc in found if _is_after(doc, keys, start_after)]
            return [_selected(doc, fields) for doc in found[:limit]]

    def number(self, collection: str, *, where: Sequence[Where], most: int) -> int:
        return len(self.query(collection, where=where, limit=most))

    def commit(self, writes: Sequence[Write]) -> str:
        return self._commit(writes)[0]

    def commit_counted(self, writes: Sequence[Write]) -> Sums:
        return self._commit(writes)[1]

    def _commit(self, writes: Sequence[Write]) -> tuple[str, Sums]:
        check_commit(writes)
        commit_id = new_commit_id()
        with self._lock:
            for write in writes:
                self._check(write)
            after = {write.path: self._after(write, commit_id) for write in writes}
            self._clock += 1
            for path, data in after.items():
                self._documents.pop(path, None)
                if data is not None:
                    self._documents[path] = Document(path, data, self._clock)
            return commit_id, summed(writes, self._documents)

    def count(self, counts: Sequence[Count]) -> list[int]:
        check_counts(counts)
        added = [
            Update(one.path, {**one.fields, COMMIT_ID: new_commit_id()}, {one.name: one.step})
            for one in counts
        ]
        with self._lock:
            after = {}
            for write in added:
                present = self._documents.get(write.path)
                after[write.path] = _updated(present.data if present else {}, write)
            self._clock += 1
            for path, data in after.items():
                self._documents[path] = Document(path, data, self._clock)
            return [after[one.path][one.name] for one in counts]

    def _check(self, write: Write) -> None:
        present = self._documents.get(write.path)
        if isinstance(write, Create) and present:
            raise AlreadyExists(write.path)
        if isinstance(write, Update) and not present:
            raise PreconditionFailed(write.path)
        if isinstance(write, Update | Delete) and write.version is not None:  # noqa: SIM102
            if present is None or present.version != write.version:
                raise PreconditionFailed(write.path)

    def _after(self, write: Write, commit_id: str) -> dict[str, Any] | None:
        if isinstance(write, Delete):
            return None
        if isinstance(write, Update | Add):
            present = self._documents.get(write.path)
            data = _updated(present.data if present else {}, write)
        else:
            data = _kept(write.data)
        data[COMMIT_ID] = commit_id
        return data


def _selected(doc: Document, fields: Sequence[str]) -> Document:
    data = {name: doc.data[name] for name in fields if name in doc.data} if fields else doc.data
    return Document(doc.path, copy.deepcopy(data), doc.version)


def _updated(present: Mapping[str, Any], write: Update | Add) -> dict[str, Any]:
    data: dict[str, Any] = {**present, **_kept(write.fields)}
    for name, step in write.increment.items():
        value = data.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool):
            value = 0
        data[name] = value + step
    for name in write.remove if isinstance(write, Update) else ():
        data.pop(name, None)
    return data


def _kept(value: Any) -> Any:
    """A copy in the form in which Firestore gives it back. Raises TypeError or ValueError for
    what it does not take."""
    if value is None or isinstance(value, bool | float | bytes):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("an integer beyond 64 bits")
        return value
    if isinstance(value, str):
        value.encode()  # Half of a surrogate pair has no UTF-8.
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a moment without a zone")
        return value.astimezone(UTC)
    if isinstance(value, Mapping):
        return {name: _kept(item) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_kept(check_item(item)) for item in value]
    raise TypeError(f"Firestore has no form for {type(value).__name__}")


def _value(doc: Document, name: str) -> Any:
    return doc.id if name == KEY else doc.data.get(name)


def _rank(value: Any) -> tuple[int, Any]:
    """Firestore's order across types: null, boolean, number, timestamp, string."""
    kinds: tuple[tuple[type | tuple[type, ...], int], ...] = (
        (bool, 1),
        ((int, float), 2),
        (datetime, 3),
        (str, 4),
    )
    if value is None:
        return (0, 0)
    for kind, rank in kinds:
        if isinstance(value, kind):
            return (rank, value.encode() if isinstance(value, str) else value)
    return (9, repr(value))


def _matches(doc: Document, clause: Where) -> bool:
    name, op, wanted = clause
    if name != KEY and name not in doc.data:
        return False
    if op == "array-contains":
        have = doc.data.get(name)
        return isinstance(have, list) and any(_rank(one) == _rank(wanted) for one in have)
    if op == "in":
        return any(_rank(_value(doc, name)) == _rank(one) for one in wanted)
    mine, want = _rank(_value(doc, name)), _rank(wanted)
    if op == "==":
        return mine == want
    if mine[0] != want[0]:
        return False
    return {
        "<": mine < want,
        "<=": mine <= want,
        ">": mine > want,
        ">=": mine >= want,
    }[op]


def _is_after(doc: Document, keys: Sequence[Order], cursor: Sequence[Any]) -> bool:
    for (name, direction), value in zip(keys, cursor, strict=False):
        have, want = _rank(_value(doc, name)), _rank(value)
        if have != want:
            return have > want if direction == "ASCENDING" else have < want
    return False
