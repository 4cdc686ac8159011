"""Lists of tasks: whatever is asked together, what comes is what a person would have picked."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.documents import DocumentStore, Set, cursors
from shared.tasks import listing, search
from shared.tasks.remains import TaskCare
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.tasks.world import NOON, World

SORTS = ("created", "updated", "due", "position", "priority", "title")
WORDS = ("milk", "Milch", "fence", "paint", "Äpfel", "Straße", "roof", "mild")
NEVER = "9999"


def moment(day: int) -> str:
    return (NOON + timedelta(days=day)).isoformat().replace("+00:00", "Z")


def filled(world: World, count: int, seed: int = 0) -> None:
    """Tasks of every kind, changed and moved about."""
    dice = random.Random(seed)
    made = []
    for _ in range(count):
        made.append(
            world.task(
                title=" ".join(dice.sample(WORDS, 2)),
                description=dice.choice(WORDS),
                status=dice.choice(("open", "doing", "done")),
                priority=dice.choice(("low", "normal", "high")),
                labels=dice.sample(("home", "shop", "Home"), dice.randrange(3)),
                dueAt=dice.choice((None, moment(dice.randrange(20)))),
            )
        )
    for task in dice.sample(made, count // 3):
        world.api("PATCH", f"/{task}", {"description": dice.choice(WORDS)})
        world.api("PUT", f"/{task}/position", {"before": dice.choice(made)})


def everything(world: World, user: str = ADA) -> list[dict[str, Any]]:
    return [one for page in walk(world, "limit=100&scope=all", user) for one in page]


def walk(world: World, query: str, user: str = ADA) -> list[list[dict[str, Any]]]:
    pages, cursor = [], ""
    while True:
        page = world.api.read(f"/?{query}{cursor}", user)
        pages.append(page["items"])
        if page["nextCursor"] is None:
            return pages
        cursor = f"&cursor={page['nextCursor']}"


KEYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "created": lambda task: task["createdAt"],
    "updated": lambda task: task["updatedAt"],
    "due": lambda task: task["dueAt"] or NEVER,
    "position": lambda task: task["position"],
    "priority": lambda task: (RANKS[task["priority"]], -when(task["createdAt"])),
    "title": lambda task: search.fold(task["title"]),
}
RANKS = {"high": 0, "normal": 1, "low": 2}
CONDITIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "": lambda task: True,
    "status=open": lambda task: task["status"] == "open",
    "status=open&status=doing": lambda task: task["status"] != "done",
    "status=open&status=doing&status=done": lambda task: True,
    "priority=high": lambda task: task["priority"] == "high",
    "priority=high&priority=low": lambda task: task["priority"] != "normal",
    "label=home": lambda task: "home" in task["labels"],
    "label=home&label=shop": lambda task: {"home", "shop"} <= set(task["labels"]),
    f"dueFrom={moment(5)}": lambda task: task["dueAt"] is not None and task["dueAt"] >= moment(5),
    f"dueTo={moment(5)}": lambda task: task["dueAt"] is not None and task["dueAt"] < moment(5),
    "q=milk": lambda task: "milk" in text(task),
    "q=mil": lambda task: "mil" in text(task),
    "q=m": lambda task: any(word.startswith("m") for word in text(task).split()),
    "q=fence mil": lambda task: "fence" in text(task) and "mil" in text(task),
    "q=APFEL": lambda task: "apfel" in text(task),
    "q=strasse": lambda task: "strasse" in text(task),
}


def when(written: str) -> float:
    return datetime.fromisoformat(written).timestamp()


def text(task: dict[str, Any]) -> str:
    return search.fold(f"{task['title']} {task['description']}")


@pytest.mark.proof
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("sort", SORTS)
def test_each_condition_in_each_order_finds_what_a_person_would_pick(
    documents: DocumentStore, sort: str, direction: str
) -> None:
    world = World(documents)
    filled(world, 25)
    world.task(BOB, title="milk", labels=["home"])
    tasks = everything(world)
    assert len(tasks) == 25
    ordered = sorted(
        tasks, key=lambda task: (KEYS[sort](task), task["id"]), reverse=direction == "desc"
    )
    found_any = 0
    for query, fits in CONDITIONS.items():
        asked = f"sort={sort}&direction={direction}&limit=4&{quote(query, safe='=&')}"
        found = [one["id"] for page in walk(world, asked) for one in page]
        assert found == [one["id"] for one in ordered if fits(one)], query
        found_any += bool(found)
    assert found_any >= len(CONDITIONS) - 1


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(4))
def test_any_conditions_together_find_what_a_person_would_pick(seed: int) -> None:
    world = World(memory_documents())
    filled(world, 60, seed)
    tasks, dice = everything(world), random.Random(seed)
    names = [name for name in CONDITIONS if name]
    for _ in range(60):
        chosen = dice.sample(names, 3)
        fields = [part.partition("=")[0] for query in chosen for part in {*query.split("&")}]
        kinds = [query.partition("=")[0] for query in chosen]
        if len(set(kinds)) < 3 or len(fields) > 12:
            continue
        sort, direction = dice.choice(SORTS), dice.choice(("asc", "desc"))
        query = quote("&".join(chosen), safe="=&")
        asked = f"sort={sort}&direction={direction}&limit={dice.randrange(1, 9)}&{query}"
        found = [one["id"] for page in walk(world, asked) for one in page]
        expected = [one for one in tasks if all(CONDITIONS[name](one) for name in chosen)]
        expected.sort(key=lambda task: (KEYS[sort](task), task["id"]), reverse=direction == "desc")
        assert found == [one["id"] for one in expected], asked


def test_orders_have_their_usual_directions(world: World) -> None:
    first, second = world.task(dueAt=moment(2)), world.task(dueAt=moment(1))
    undated = world.task()
    assert world.ids() == [undated, second, first]
    assert world.ids("sort=due") == [second, first, undated]
    assert world.ids("sort=position") == [undated, second, first]
    world.api("PATCH", f"/{first}", {"title": "x"})
    assert world.ids("sort=updated") == [first, undated, second]


@pytest.mark.parametrize("sort", SORTS)
def test_a_walk_sees_each_task_that_stays_where_it_is_exactly_once(world: World, sort: str) -> None:
    kept = [world.task(title="milk", dueAt=moment(n % 3)) for n in range(12)]
    comes_and_goes = [world.task(title="milk", dueAt=moment(n % 3)) for n in range(4)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = world.api.read(f"/?sort={sort}&limit=3&q=milk{cursor}")
        seen += [one["id"] for one in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
        world.task(title="milk", dueAt=moment(1))
        if comes_and_goes:
            world.api("DELETE", f"/{comes_and_goes.pop()}")
    assert [seen.count(one) for one in kept] == [1] * len(kept)
    assert len(seen) == len(set(seen))


def test_a_cursor_serves_only_the_list_it_came_from(world: World) -> None:
    for _ in range(3):
        world.task(title="milk", labels=["home"], dueAt=moment(1))
    orders = [f"sort={sort}" for sort in SORTS[1:]]
    queries = ["", "status=open", "q=milk", "label=home", *orders,
               "direction=asc", "scope=all", f"dueTo={moment(3)}"]  # fmt: skip
    places = {query: world.api.read(f"/?limit=1&{query}")["nextCursor"] for query in queries}
    assert all(places.values())
    for mine, other in product(queries, queries):
        answer = world.api("GET", f"/?limit=2&{mine}&cursor={places[other]}")
        assert answer.status_code == (200 if mine == other else 422), (mine, other)
        assert world.api("GET", f"/?{mine}&cursor={places[mine]}", user=BOB).status_code == 422


def test_what_is_read_for_one_page_is_bounded_and_the_cursor_goes_on(
    monkeypatch: pytest.MonkeyPatch, documents: DocumentStore
) -> None:
    monkeypatch.setattr(listing, "MOST_READ", 20)
    monkeypatch.setattr(listing, "_BATCH", 8)
    world = World(documents)
    wanted = [world.task(title="needle", labels=["a", "b"])]
    for _ in range(45):
        world.task(labels=["a"])
    wanted.append(world.task(labels=["a", "b"]))
    pages = walk(world, "label=a&label=b&limit=5")
    assert [one["id"] for page in pages for one in page] == wanted[::-1]
    assert [len(page) for page in pages] == [1, 0, 1]
    budget = Budget()
    World(WatchedDocuments(documents, budget)).api.read("/?label=a&label=b&limit=5")
    assert budget.calls == {"query": 3}


@pytest.mark.proof
def test_a_full_page_at_the_end_of_a_batch_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(memory_documents())
    made = [world.task(labels=["a", "b"] if n % 2 else ["a"]) for n in range(40)]
    expected = [one for n, one in enumerate(made) if n % 2][::-1]
    for batch, most, limit in product((1, 2, 3, 7), (5, 8, 20), (1, 2, 3, 10)):
        monkeypatch.setattr(listing, "MOST_READ", most)
        monkeypatch.setattr(listing, "_BATCH", batch)
        found = [
            one["id"] for page in walk(world, f"label=a&label=b&limit={limit}") for one in page
        ]
        assert found == expected, (batch, most, limit)


def test_a_change_moves_a_task_from_one_list_to_the_other(world: World) -> None:
    task = world.task(title="Buy milk", labels=["shop"])
    world.api(
        "PATCH",
        f"/{task}",
        {"title": "Paint", "labels": ["home"], "status": "done", "dueAt": moment(1)},
    )
    for query in ("q=milk", "label=shop", "status=open", "q=buy", f"dueFrom={moment(2)}"):
        assert world.ids(query) == [], query
    for query in ("q=paint", "label=home", "status=done", "q=pai", f"sort=due&dueTo={moment(2)}"):
        assert world.ids(query) == [task], query


def test_labels_are_exact_and_words_are_not(world: World) -> None:
    task = world.task(title="ÉTÉ à Łódź", labels=["Home"])
    assert world.ids("label=home") == []
    assert world.ids("label=Home") == [task]
    for query in ("ete", "été lodz", "lod", "a lo", "home", "HOM"):
        assert world.ids(f"q={quote(query)}") == [task], query
    for query in ("odz", "ete x", "hom lodz"):
        assert world.ids(f"q={quote(query)}") == [], query


def test_what_makes_up_a_word() -> None:
    def words(written: str) -> list[str]:
        return list(search.words(written))

    assert words("Straße, O'Neil_2 -- x") == ["strasse", "o", "neil", "2", "x"]
    assert words("牛乳をかう") == ["牛", "乳", "を", "か", "う"]
    assert words("ＡＢＣ ﬁn") == ["abc", "fin"]
    assert words("Привет МИР") == ["привет", "мир"]
    assert words("x" * 100) == ["x" * 30]
    assert words("!?… ") == []


@given(st.text(max_size=300))
def test_any_text_is_found_by_each_of_its_first_words(written: str) -> None:
    fields = {"title": written, "labels": [], "description": ""}
    terms = set(search.word_terms(fields))
    for word in search.words_of(fields):
        sought = search.Sought(word)
        assert sought.matches(fields)
        assert sought.term is None or sought.term in terms
    assert len(search.words_of(fields)) <= search.MOST_WORDS


@given(
    st.text(
        st.sampled_from("ab\u00e9\u1e9e\u0301\u0130\ufdfa\u6f22\uac00_-. \n\u2003\u3000"),
        max_size=150,
    )
)
def test_words_read_piece_by_piece_are_those_of_the_whole_text(text: str) -> None:
    whole = [found[0][:30] for found in search._WORD.finditer(search.fold(text))]
    assert list(search.words(text)) == whole


def test_a_text_of_signs_that_become_many_letters_is_not_read_to_its_end() -> None:
    """Each of them is four words; a list of 300 such tasks took twenty seconds."""
    read = list(search.words("\ufdfa" * 10_000 + " end"))
    assert 1000 < sum(map(len, read)) < 10_000
    assert "end" in list(search.words("word " * 1999 + "end"))
    assert "end" in list(search.words("\u00e9t\u00e9 " + "-" * 9000 + " end"))


def test_a_long_text_has_bounded_terms_and_title_and_labels_come_first(world: World) -> None:
    description = " ".join(f"word{n}" for n in range(1000))
    task = world.task(title="needle", labels=["thread"], description=description)
    stored = world.documents.get(f"tasks/{task}")
    assert stored is not None
    assert len(stored.data["words"]) <= 2 * search.MOST_WORDS
    assert world.ids("q=needle thread") == [task]
    assert world.ids("q=word5") == [task]
    assert world.ids("q=word999") == []


def of_version_2(world: World, user: str = ADA, **fields: Any) -> str:
    """It knew no order by priority and title."""
    task = world.task(user, **fields)
    found = world.documents.get(f"tasks/{task}")
    assert found is not None
    data = {name: found.data[name] for name in found.data.keys() - {"priorityKey", "titleKey"}}
    world.documents.commit([Set(f"tasks/{task}", data | {"schemaVersion": 2})])
    return task


def old(world: World, user: str = ADA, **fields: Any) -> str:
    """A task as version 1 stored it."""
    task = world.task(user, **fields)
    found = world.documents.get(f"tasks/{task}")
    assert found is not None
    known = ("owner", "title", "description", "status", "priority", "labels", "dueAt",
             "mediaCount", "createdAt", "updatedAt")  # fmt: skip
    data = {name: found.data[name] for name in known} | {"request": "x", "schemaVersion": 1}
    world.documents.commit([Set(f"tasks/{task}", data)])
    return task


def test_a_task_of_an_older_version_is_read_listed_and_changed(world: World) -> None:
    task, new = old(world, title="Buy milk"), world.task(title="Paint")
    read = world.api.read(f"/{task}")
    assert (read["commentCount"], read["cover"], read["role"]) == (0, None, "owner")
    assert world.ids() == [new, task]
    assert world.ids("sort=updated") == [new, task]
    changed = world.api("PATCH", f"/{task}", {"status": "done"})
    assert changed.status_code == 200
    assert changed.get_json()["position"] == read["position"]
    assert world.ids("q=milk") == world.ids("status=done") == [task]
    assert world.ids("sort=position") == [new, task]


def test_older_tasks_are_renewed_by_a_job_without_a_change_for_anyone(world: World) -> None:
    tasks = [old(world, title=f"Buy milk {n}", labels=["shop"]) for n in range(5)]
    picture = world.picture()
    world.attach(tasks[0], picture)
    before = {one["id"]: one for one in everything_by_created(world)}
    assert world.ids("q=milk") == []
    assert TaskCare(world.documents).run() == 5
    assert TaskCare(world.documents).run() == 0
    assert world.ids("q=milk") == world.ids("label=shop") == world.ids("scope=all") == tasks[::-1]
    assert {one["id"]: one for one in everything_by_created(world)} == before
    assert world.attached(tasks[0]) == [picture]


def test_a_task_of_version_2_is_in_the_new_orders_once_it_was_changed_or_renewed(
    world: World,
) -> None:
    first, second = (of_version_2(world, title=title) for title in ("Äpfel", "Birnen"))
    assert world.ids("sort=title") == world.ids("sort=priority") == []
    assert world.api("PATCH", f"/{second}", {"priority": "high"}).status_code == 200
    assert world.ids("sort=title") == [second]
    before = everything_by_created(world)
    assert TaskCare(world.documents).run() == 1
    assert world.ids("sort=title") == [first, second]
    assert world.ids("sort=priority") == [second, first]
    assert everything_by_created(world) == before


@given(st.text(min_size=1, max_size=200))
def test_any_title_has_a_place_that_a_cursor_carries(title: str) -> None:
    place = search.sorting(title)
    cursor = cursors.encode_key(place, "a" * 20, "mine")
    assert cursors.decode_key(cursor, "mine") == (place, "a" * 20)


def test_titles_are_in_order_without_case_accents_and_quotes(world: World) -> None:
    titles = ("zebra", "“Äpfel”", "apple", "Birne", "…", "10 eggs")
    made = {title: world.task(title=title) for title in titles}
    assert world.ids("sort=title") == [
        made[title] for title in ("…", "10 eggs", "“Äpfel”", "apple", "Birne", "zebra")
    ]
    assert world.ids("sort=title&direction=desc")[0] == made["zebra"]


def test_the_urgent_come_first_and_among_them_the_newest(world: World) -> None:
    low, high, normal, newer = (world.task(priority=p) for p in ("low", "high", "normal", "high"))
    assert world.ids("sort=priority") == [newer, high, normal, low]
    world.api("PATCH", f"/{low}", {"priority": "high"})
    assert world.ids("sort=priority") == [newer, high, low, normal]


def everything_by_created(world: World) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = world.api.read("/?limit=100")["items"]
    return items
