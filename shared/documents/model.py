"""What a document store is: documents under paths, queries, and commits that are all or nothing.

Every write puts the commit's id into the document as `commitId`. A reply that got lost is
resolved by reading that nonce back, so no acknowledged write is lost and none counts twice.
The rule that makes this sound: a commit holds at least one guard (a Create, or a write with a
version) or is idempotent; increments need a guard on another document, which the first try's
success makes fail for the second. `check_commit` enforces it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Direction = Literal["ASCENDING", "DESCENDING"]
Operator = Literal["==", "<", "<=", ">", ">=", "in", "array-contains"]
Where = tuple[str, Operator, Any]
Order = tuple[str, Direction]

COMMIT_ID = "commitId"
KEY = "__name__"

# One collection and one id; the id's alphabet is wide enough for `{task}_{media}` and for
# hashes, and too narrow for `/`, `..` and `__x__`, which Firestore refuses or reads otherwise.
_PATH = re.compile(r"[a-zA-Z]{1,40}/(?!_)[A-Za-z0-9_~-]{1,200}")
_FIELD = re.compile(r"[a-zA-Z][A-Za-z0-9]{0,60}")


class AlreadyExists(Exception):
    """A Create met a document; nothing of the commit was applied."""


class PreconditionFailed(Exception):
    """A version was stale or an updated document missing; nothing was applied."""


@dataclass(frozen=True, slots=True)
class Document:
    """One stored document; `version` is opaque and fits the `version` of a write."""

    path: str
    data: Mapping[str, Any]
    version: Any

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def commit_id(self) -> str:
        return str(self.data.get(COMMIT_ID, ""))


@dataclass(frozen=True, slots=True)
class Create:
    path: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Set:
    """Replaces the whole document, or makes it."""

    path: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Update:
    """Changes top-level fields of a document that must exist."""

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    increment: Mapping[str, int] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    version: Any = None


@dataclass(frozen=True, slots=True)
class Add:
    """Adds to numbers of a document, which is made when it is missing. It refuses nobody: any
    number of commits may add to one document at once."""

    path: str
    increment: Mapping[str, int]
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delete:
    """Without a version a missing document is no error."""

    path: str
    version: Any = None


Write = Create | Set | Update | Add | Delete
Sums = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Count:
    """Adds `step` to the number `name` and sets `fields`, of a document that need not exist."""

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    name: str = "count"
    step: int = 1


class DocumentStore(Protocol):
    """Raises `errors.Unavailable` when the store does not answer within its bounds."""

    def get(self, path: str) -> Document | None: ...

    def get_all(self, paths: Iterable[str]) -> dict[str, Document]:
        """The existing ones of `paths`, in one round trip."""
        ...

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
        """Documents in `order`; `start_after` gives one value per order field (an id for
        `__name__`). With `fields` the documents hold only those of them. Raises `MissingIndex`
        when no declared index serves the query."""
        ...

    def number(self, collection: str, *, where: Sequence[Where], most: int) -> int:
        """How many documents a query would find, told up to `most`; a read for each thousand."""
        ...

    def commit(self, writes: Sequence[Write]) -> str:
        """Apply all writes or none; returns the commit's id, which is in every one of them.

        Raises AlreadyExists, PreconditionFailed, errors.Unavailable.
        """
        ...

    def count(self, counts: Sequence[Count]) -> list[int]:
        """What the numbers became, in one round trip for all of them.

        The one write without a guard: after a lost reply it is sent again, and counts twice. So
        it is for numbers of which too much is the safe side.
        """
        ...

    def commit_counted(self, writes: Sequence[Write]) -> Sums:
        """As `commit`, but returns by path what each Add and increment came to: exactly after
        this commit, or, when its reply was lost, at a later moment that includes it."""
        ...


def new_commit_id() -> str:
    return secrets.token_hex(8)


def check_path(path: str) -> str:
    """A path that was not checked by its domain is a bug of ours, hence ValueError."""
    if not _PATH.fullmatch(path):
        raise ValueError(f"not a document path: {path!r}")
    return path


def check_commit(writes: Sequence[Write]) -> None:
    """Refuse a commit that would not survive being sent twice (a bug of ours: ValueError)."""
    if not writes:
        raise ValueError("an empty commit")
    paths = [check_path(write.path) for write in writes]
    if len(set(paths)) != len(paths):
        raise ValueError("two writes to one document in one commit")
    for write in writes:
        _check_names(write)
        if isinstance(write, Update | Add) and write.increment and not _is_guarded(write, writes):
            raise ValueError("an increment needs a Create or a version elsewhere in its commit")


def check_counts(counts: Sequence[Count]) -> None:
    """Refuse what would be a riddle (a bug of ours: ValueError)."""
    if not counts:
        raise ValueError("nothing to count")
    if len({check_path(one.path) for one in counts}) != len(counts):
        raise ValueError("two counts in one document")
    for one in counts:
        _check_fields([*one.fields, one.name, COMMIT_ID])


def summed(writes: Sequence[Write], found: Mapping[str, Document]) -> Sums:
    """What `writes` added to, as `found` has it; a document that is gone again has no numbers."""
    return {
        write.path: {name: found[write.path].data[name] for name in write.increment}
        if write.path in found
        else {}
        for write in writes
        if isinstance(write, Update | Add) and write.increment
    }


def check_item(value: Any) -> Any:
    """An item of a list; Firestore keeps no list directly in a list (ValueError)."""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        raise ValueError("a list in a list")
    return value


def _check_names(write: Write) -> None:
    """Top-level names only: a dot would reach into a map, and a name told twice is a riddle."""
    if isinstance(write, Delete):
        return
    if isinstance(write, Update | Add):
        removed = write.remove if isinstance(write, Update) else ()
        _check_fields([*write.fields, *write.increment, *removed, COMMIT_ID])
    else:
        _check_fields(list(write.data))


def _check_fields(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError(f"one field changed twice: {names}")
    for name in names:
        if not isinstance(name, str) or not _FIELD.fullmatch(name):
            raise ValueError(f"not a field name: {name!r}")


def _is_guarded(update: Update | Add, writes: Sequence[Write]) -> bool:
    return any(
        isinstance(other, Create)
        or (isinstance(other, Update | Delete) and other.version is not None)
        for other in writes
        if other is not update
    )
