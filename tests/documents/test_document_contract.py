"""What every document store promises, over the one in memory and over Firestore's emulator."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from shared.documents import (
    Add,
    AlreadyExists,
    Create,
    Delete,
    Document,
    DocumentStore,
    MissingIndex,
    PreconditionFailed,
    Set,
    Update,
    Write,
)
from tests.fixtures.stores import patient as patient

NOON = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)


def stored(documents: DocumentStore, path: str) -> dict[str, Any]:
    """The document's fields without the nonce that every commit leaves."""
    found = documents.get(path)
    assert found is not None
    return {name: value for name, value in found.data.items() if name != "commitId"}


def present(documents: DocumentStore, path: str) -> Document:
    found = documents.get(path)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        0.5,
        -1e300,
        float("inf"),
        "",
        "plain",
        "ünï ☃ 🎉 \0 \n \u202e",
        b"",
        bytes(range(256)),
        NOON,
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        [],
        [1, "two", None, {"three": [3]}],
        {},
        {"a.b": 1, "ü": {" ": 0}, "deep": {"deep": {"deep": [b"x"]}}},
    ],
)
def test_every_value_comes_back_as_it_was(documents: DocumentStore, value: Any) -> None:
    documents.commit([Create("things/one", {"value": value})])
    found = stored(documents, "things/one")["value"]
    assert found == value
    assert type(found) is type(value)


def test_a_tuple_comes_back_as_a_list_and_a_moment_in_utc(documents: DocumentStore) -> None:
    east = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    documents.commit([Create("things/one", {"pair": (1, 2), "when": east})])
    found = stored(documents, "things/one")
    assert found == {"pair": [1, 2], "when": NOON}
    assert found["when"].utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        {1},
        Decimal(1),
        NOON.date(),
        NOON.replace(tzinfo=None),
        2**63,
        -(2**63) - 1,
        "\ud800",
        [[1]],
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_firestore_has_no_form_for_is_refused(documents: DocumentStore, value: Any) -> None:
    for write in (Create("things/one", {"v": value}), Set("things/one", {"v": {"in": value}})):
        with pytest.raises((TypeError, ValueError)):
            documents.commit([write])
    assert documents.get("things/one") is None


def test_what_was_read_is_a_copy(documents: DocumentStore) -> None:
    given: dict[str, Any] = {"list": [1]}
    documents.commit([Create("things/one", given)])
    given["list"].append(2)
    present(documents, "things/one").data["list"].append(3)
    assert stored(documents, "things/one") == {"list": [1]}


def test_a_missing_document_is_none_and_left_out_of_many(documents: DocumentStore) -> None:
    assert documents.get("things/none") is None
    assert documents.get_all([]) == {}
    documents.commit([Create("things/a", {}), Create("things/b", {})])
    found = documents.get_all(["things/b", "things/none", "things/a", "things/b"])
    assert sorted(found) == ["things/a", "things/b"]
    assert found["things/a"].path == "things/a"
    assert found["things/a"].id == "a"


def test_create_refuses_what_is_there(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {"n": 1})])
    with pytest.raises(AlreadyExists):
        documents.commit([Create("things/one", {"n": 2})])
    assert stored(documents, "things/one") == {"n": 1}


def test_set_replaces_the_whole_document(documents: DocumentStore) -> None:
    documents.commit([Set("things/one", {"a": 1, "b": 2})])
    documents.commit([Set("things/one", {"c": 3})])
    assert stored(documents, "things/one") == {"c": 3}


def test_update_changes_the_named_fields_only(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {"a": {"x": 1, "y": 2}, "b": 2, "c": 3})])
    documents.commit([Update("things/one", {"a": {"z": 3}, "new": None}, remove=("b", "never"))])
    assert stored(documents, "things/one") == {"a": {"z": 3}, "c": 3, "new": None}


def test_update_needs_the_document(documents: DocumentStore) -> None:
    with pytest.raises(PreconditionFailed):
        documents.commit([Update("things/none", {"a": 1})])
    assert documents.get("things/none") is None


def test_delete_takes_a_missing_document_unless_a_version_is_asked(
    documents: DocumentStore,
) -> None:
    documents.commit([Delete("things/one")])
    documents.commit([Create("things/one", {})])
    version = present(documents, "things/one").version
    documents.commit([Delete("things/one")])
    assert documents.get("things/one") is None
    with pytest.raises(PreconditionFailed):
        documents.commit([Delete("things/one", version=version)])


@pytest.mark.parametrize("kind", [Update, Delete])
def test_a_stale_version_is_refused(documents: DocumentStore, kind: Any) -> None:
    documents.commit([Create("things/one", {"n": 1})])
    stale = present(documents, "things/one").version
    documents.commit([Update("things/one", {"n": 2}, version=stale)])
    with pytest.raises(PreconditionFailed):
        documents.commit([kind("things/one", version=stale)])
    assert stored(documents, "things/one") == {"n": 2}


def test_every_write_makes_another_version_and_leaves_the_commit_id(
    documents: DocumentStore,
) -> None:
    documents.commit([Create("things/one", {"n": 1})])
    versions = [present(documents, "things/one").version]
    for _ in range(50):
        commit_id = documents.commit([Update("things/one", {"n": 1}, version=versions[-1])])
        found = present(documents, "things/one")
        assert found.commit_id == commit_id
        versions.append(found.version)
    assert all(a != b for a, b in pairwise(versions))
    assert len(set(versions)) == len(versions)


def test_a_deleted_and_made_again_document_has_another_version(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {})])
    version = present(documents, "things/one").version
    documents.commit([Delete("things/one")])
    documents.commit([Create("things/one", {})])
    with pytest.raises(PreconditionFailed):
        documents.commit([Delete("things/one", version=version)])


@pytest.mark.parametrize(
    ("failing", "error"),
    [
        (Create("things/there", {}), AlreadyExists),
        (Update("things/none", {"a": 1}), PreconditionFailed),
    ],
)
@pytest.mark.parametrize("position", [0, 1, 4])
def test_a_commit_is_all_or_nothing(
    documents: DocumentStore, failing: Write, error: type[Exception], position: int
) -> None:
    documents.commit([Create("things/there", {"n": 1}), Create("things/old", {"n": 1})])
    writes: list[Write] = [
        Create("things/new", {}),
        Set("things/set", {}),
        Update("things/old", {"n": 2}),
        Delete("things/gone"),
    ]
    writes.insert(position, failing)
    with pytest.raises(error):
        documents.commit(writes)
    assert documents.get("things/new") is None
    assert documents.get("things/set") is None
    assert stored(documents, "things/old") == {"n": 1}


def test_one_commit_leaves_one_id_everywhere(documents: DocumentStore) -> None:
    commit_id = documents.commit([Create("things/a", {}), Set("things/b", {})])
    found = documents.get_all(["things/a", "things/b"])
    assert {doc.commit_id for doc in found.values()} == {commit_id}


def test_increments_count_beside_a_create(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {"n": 1, "odd": "text"})])
    documents.commit(
        [
            Create("marks/a", {}),
            Update("things/one", {"x": 1}, increment={"n": 5, "fresh": 2, "odd": 3}),
        ]
    )
    assert stored(documents, "things/one") == {"n": 6, "fresh": 2, "odd": 3, "x": 1}
    with pytest.raises(AlreadyExists):
        documents.commit([Create("marks/a", {}), Update("things/one", increment={"n": 5})])
    mark = present(documents, "marks/a")
    documents.commit(
        [Delete("marks/a", version=mark.version), Update("things/one", increment={"n": -2})]
    )
    assert stored(documents, "things/one")["n"] == 4


@pytest.mark.parametrize(
    "beside",
    [[], [Set("marks/a", {})], [Delete("marks/a")], [Update("marks/a", {"x": 1})]],
    ids=repr,
)
def test_an_increment_that_could_count_twice_is_refused(
    documents: DocumentStore, beside: list[Write]
) -> None:
    documents.commit([Create("things/one", {"n": 1})])
    with pytest.raises(ValueError, match="increment"):
        documents.commit([*beside, Update("things/one", increment={"n": 1})])
    own = present(documents, "things/one").version
    with pytest.raises(ValueError, match="increment"):
        documents.commit([*beside, Update("things/one", increment={"n": 1}, version=own)])


@pytest.mark.usefixtures("patient")
def test_fifty_writers_of_one_document_all_count(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {"n": 0})])

    def count(mark: int) -> None:
        documents.commit([Create(f"marks/{mark}", {}), Update("things/one", increment={"n": 1})])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(50)))
    assert stored(documents, "things/one") == {"n": 50}


def test_of_many_writers_with_one_version_exactly_one_wins(documents: DocumentStore) -> None:
    documents.commit([Create("things/one", {"winner": None})])
    version = present(documents, "things/one").version
    start = threading.Barrier(8)

    def write(name: int) -> bool:
        start.wait(10)
        try:
            documents.commit([Update("things/one", {"winner": name}, version=version)])
        except PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(write, range(8)))
    assert sum(won) == 1
    assert stored(documents, "things/one")["winner"] == won.index(True)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "things",
        "things/",
        "/one",
        "things//one",
        "things/.",
        "things/..",
        "things/__x__",
        "things/_",
        "things/a/b/c",
        "things/a b",
        "things/é",
        "things/\ud800",
        "things/one\n",
        "th.ings/one",
        "../things/one",
        "things/" + "x" * 201,
        "things/" + "x" * 1501,
    ],
)
def test_a_path_that_is_none_of_ours_goes_nowhere(documents: DocumentStore, path: str) -> None:
    for call in (
        lambda: documents.get(path),
        lambda: documents.get_all(["things/one", path]),
        lambda: documents.commit([Set(path, {})]),
        lambda: documents.commit([Create("things/one", {}), Delete(path)]),
    ):
        with pytest.raises(ValueError, match="not a document path"):
            call()
    assert documents.get("things/one") is None


@pytest.mark.parametrize(
    "name", ["owner.evil", "__x__", "", "a b", "`a`", "é", "a/b", "x" * 62, "\ud800", "_a"]
)
def test_a_field_that_is_none_of_ours_is_refused(documents: DocumentStore, name: str) -> None:
    documents.commit([Create("things/one", {"owner": "ada"})])
    for write in (
        Update("things/one", {name: 1}),
        Update("things/one", increment={name: 1}),
        Update("things/one", remove=(name,)),
        Add("things/one", {name: 1}),
        Set("things/one", {name: 1}),
        Create("things/two", {name: 1}),
    ):
        with pytest.raises(ValueError, match="not a field name"):
            documents.commit([Create("marks/a", {}), write])
    assert stored(documents, "things/one") == {"owner": "ada"}


@pytest.mark.parametrize(
    "writes",
    [
        [],
        [Set("things/one", {}), Delete("things/one")],
        [Create("marks/a", {}), Update("things/one", {"n": 1}, increment={"n": 1})],
        [Update("things/one", {"n": 1}, remove=("n",))],
        [Update("things/one", {"commitId": "mine"})],
        [Update("things/one", remove=("commitId",))],
    ],
    ids=["empty", "twice", "set-and-count", "set-and-remove", "own-nonce", "no-nonce"],
)
def test_a_commit_that_contradicts_itself_is_refused(
    documents: DocumentStore, writes: list[Write]
) -> None:
    documents.commit([Create("things/one", {"n": 5})])
    with pytest.raises(ValueError):
        documents.commit(writes)
    assert stored(documents, "things/one") == {"n": 5}


@dataclass
class Shelf:
    """Sixty tasks of two owners, several at one moment, so that only ids tell them apart."""

    documents: DocumentStore

    def __post_init__(self) -> None:
        self.documents.commit([self.task(number) for number in range(60)])
        self.documents.commit([Create("notes/x", {"owner": "ada", "createdAt": NOON})])

    def task(self, number: int) -> Create:
        return Create(
            f"tasks/t{number * 37 % 60:02}",
            {
                "owner": "ada" if number % 3 else "bob",
                "tags": ["x", ("open", "doing", "done")[number % 5 % 3]],
                "createdAt": NOON + timedelta(microseconds=number // 7),
            },
        )

    def ids(self, status: str | None = None, **options: Any) -> list[str]:
        where: list[Any] = [("owner", "==", "ada")]
        if status:
            where.append(("tags", "array-contains", status))
        order = [("createdAt", "DESCENDING"), ("__name__", "DESCENDING")]
        found = self.documents.query("tasks", where=where, order=order, **options)
        assert all(doc.data["owner"] == "ada" for doc in found)
        return [doc.id for doc in found]

    def expected(self, status: str | None = None) -> list[str]:
        tasks = [self.task(number) for number in range(60)]
        mine = [
            (task.data["createdAt"], task.path.partition("/")[2])
            for task in tasks
            if task.data["owner"] == "ada" and status in (None, task.data["tags"][1])
        ]
        return [name for _, name in sorted(mine, reverse=True)]


@pytest.mark.parametrize("status", [None, "open", "done"])
def test_a_query_filters_and_orders(documents: DocumentStore, status: str | None) -> None:
    shelf = Shelf(documents)
    assert shelf.ids(status) == shelf.expected(status)
    assert shelf.ids(status, limit=3) == shelf.expected(status)[:3]


def test_a_filter_needs_the_field_and_tells_types_apart(documents: DocumentStore) -> None:
    values = {"true": True, "one": 1, "exact": 1.0, "text": "1"}
    for name, value in values.items():
        documents.commit([Create(f"things/{name}", {"n": value})])
    documents.commit([Create("things/without", {"m": 1}), Create("things/null", {"n": None})])

    def found(op: str, wanted: object) -> set[str]:
        return {doc.id for doc in documents.query("things", where=[("n", op, wanted)])}

    assert found("==", True) == {"true"}
    assert found("==", 1) == {"one", "exact"}
    assert found("in", ["1", False]) == {"text"}


@pytest.mark.parametrize("size", [1, 7, 100])
def test_pages_after_a_cursor_miss_nothing_and_repeat_nothing(
    documents: DocumentStore, size: int
) -> None:
    shelf, seen, after = Shelf(documents), [], None
    order: Any = [("createdAt", "DESCENDING"), ("__name__", "DESCENDING")]
    while True:
        page = documents.query(
            "tasks", where=[("owner", "==", "ada")], order=order, start_after=after, limit=size
        )
        if not page:
            break
        seen += [doc.id for doc in page]
        after = (page[-1].data["createdAt"], page[-1].id)
    assert seen == shelf.expected()


def test_a_cursor_tells_moments_a_microsecond_apart(documents: DocumentStore) -> None:
    shelf = Shelf(documents)
    for microseconds in (0, 1, 8):
        moment = NOON + timedelta(microseconds=microseconds)
        later = [
            name
            for name in shelf.expected()
            if present(documents, f"tasks/{name}").data["createdAt"] < moment
        ]
        assert shelf.ids(start_after=(moment, "0")) == later


def test_a_cursor_may_stand_where_nothing_stands_any_more(documents: DocumentStore) -> None:
    shelf = Shelf(documents)
    names = shelf.expected()
    gone = present(documents, f"tasks/{names[10]}")
    documents.commit([Delete(gone.path)])
    assert shelf.ids(start_after=(gone.data["createdAt"], gone.id)) == names[11:]


def test_a_cursor_with_an_id_of_no_document_is_refused(documents: DocumentStore) -> None:
    shelf = Shelf(documents)
    for evil in ("..", "a/b", "__x__", "é", ""):
        with pytest.raises(ValueError, match="not a document path"):
            shelf.ids(start_after=(NOON, evil))
    with pytest.raises(ValueError):
        shelf.ids(start_after=(NOON,))


def test_in_finds_each_of_several_values(documents: DocumentStore) -> None:
    for number, state in enumerate(("pending", "ready", "trashed", "ready", "deleted", "rejected")):
        moment = NOON + timedelta(seconds=number)
        fields = {"owner": "ada", "state": state, "createdAt": moment}
        documents.commit([Create(f"media/m{number}", fields)])
    found = documents.query(
        "media",
        where=[("owner", "==", "ada"), ("state", "in", ["ready", "pending"])],
        order=[("createdAt", "DESCENDING"), ("__name__", "DESCENDING")],
    )
    assert [doc.id for doc in found] == ["m3", "m1", "m0"]


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("<", [0, 1]), ("<=", [0, 1, 2]), (">", [3, 4]), (">=", [2, 3, 4])],
)
def test_ranges_hold_their_bounds_and_their_type(
    documents: DocumentStore, operator: Any, expected: list[int]
) -> None:
    documents.commit([Create(f"things/n{n}", {"at": NOON + timedelta(n)}) for n in range(5)])
    odd = [None, "2026", 1, True]
    documents.commit([Create(f"things/o{n}", {"at": value}) for n, value in enumerate(odd)])
    documents.commit([Create("things/without", {})])
    found = documents.query(
        "things", where=[("at", operator, NOON + timedelta(2))], order=[("at", "ASCENDING")]
    )
    assert [doc.id for doc in found] == [f"n{n}" for n in expected]


def test_a_document_without_the_ordered_field_is_not_in_the_list(documents: DocumentStore) -> None:
    documents.commit([Create("things/a", {"at": 1}), Create("things/b", {}), Create("th/c", {})])
    documents.commit([Create("things/d", {"at": None})])
    found = documents.query("things", order=[("at", "DESCENDING")])
    assert [doc.id for doc in found] == ["a", "d"]


def test_without_an_order_the_ids_order(documents: DocumentStore) -> None:
    for name in ("b", "A", "a", "0", "~x"):
        documents.commit([Create(f"things/{name}", {})])
    assert [doc.id for doc in documents.query("things")] == ["0", "A", "a", "b", "~x"]


def test_documents_are_numbered_up_to_as_many_as_matter(documents: DocumentStore) -> None:
    for number in range(7):
        documents.commit([Create(f"things/n{number}", {"owner": "ada" if number else "bob"})])
    where: Any = [("owner", "==", "ada")]
    assert [documents.number("things", where=where, most=most) for most in (5, 6, 10_000)] == [
        5,
        6,
        6,
    ]
    assert documents.number("others", where=where, most=3) == 0
    with pytest.raises(MissingIndex):
        documents.number("things", where=[("at", "<", NOON)], most=3)


def test_an_undeclared_query_is_refused(documents: DocumentStore) -> None:
    for where, order in (
        ([("owner", "==", "ada")], [("title", "ASCENDING")]),
        ([("owner", "==", "ada")], [("mediaCount", "ASCENDING")]),
        ([("owner", "==", "ada"), ("priority", "==", "high")], [("createdAt", "DESCENDING")]),
        ([("owner", "==", "ada"), ("dueAt", "<", NOON)], [("createdAt", "DESCENDING")]),
        ([("dueAt", "<", NOON), ("createdAt", "<", NOON)], [("dueAt", "ASCENDING")]),
        ([("dueAt", "<", NOON)], []),
        ([], [("status", "ASCENDING"), ("createdAt", "DESCENDING")]),
        ([], [("createdAt", "ASCENDING"), ("__name__", "DESCENDING")]),
    ):
        with pytest.raises(MissingIndex):
            documents.query("tasks", where=where, order=order)  # type: ignore[arg-type]


def test_a_query_that_single_fields_serve_needs_no_declaration(documents: DocumentStore) -> None:
    for where, order in (
        ([], []),
        ([("a", "==", 1), ("b", "==", 2), ("c", "in", [3])], []),
        ([], [("a", "DESCENDING")]),
        ([], [("a", "DESCENDING"), ("__name__", "DESCENDING")]),
        ([("a", ">", 1)], [("a", "ASCENDING")]),
        ([], [("__name__", "ASCENDING")]),
    ):
        assert documents.query("anything", where=where, order=order) == []  # type: ignore[arg-type]


def test_a_list_is_asked_for_what_it_contains(documents: DocumentStore) -> None:
    for name, tags in {"a": ["x", "y"], "b": ["y"], "c": [], "d": "y", "e": None, "f": [1]}.items():
        documents.commit([Create(f"things/{name}", {"tags": tags})])
    documents.commit([Create("things/g", {})])

    def found(wanted: object) -> list[str]:
        where: Any = [("tags", "array-contains", wanted)]
        return [doc.id for doc in documents.query("things", where=where)]

    assert found("y") == ["a", "b"]
    assert found("x") == ["a"]
    assert found(1) == ["f"]
    assert found("") == found("xy") == found(None) == []


def test_a_query_can_take_some_fields_only(documents: DocumentStore) -> None:
    documents.commit([Create("things/a", {"n": 1, "m": [2], "o": {"p": 3}})])
    whole = present(documents, "things/a")
    (part,) = documents.query("things", fields=["m", "none", "commitId"])
    assert part.data == {"m": [2], "commitId": whole.commit_id}
    assert (part.id, part.version) == (whole.id, whole.version)
    documents.commit([Update("things/a", {"n": 2}, version=part.version)])
    assert stored(documents, "things/a") == {"n": 2, "m": [2], "o": {"p": 3}}


def test_a_query_of_lists_needs_an_index_made_for_lists(documents: DocumentStore) -> None:
    newest: Any = [("createdAt", "DESCENDING"), ("__name__", "DESCENDING")]
    own, tagged = ("owner", "==", "ada"), ("labels", "array-contains", "x")
    for where, order in (
        ([tagged], newest),
        ([own, tagged], newest),
        ([own, tagged], []),
        ([tagged, ("tags", "array-contains", "y")], []),
        ([own, ("status", "array-contains", "open")], newest),
    ):
        with pytest.raises(MissingIndex):
            documents.query("tasks", where=where, order=order)  # type: ignore[arg-type]
