"""What a person can do with tasks over HTTP, and what nobody can."""

from __future__ import annotations

from typing import Any

import pytest

from shared.documents import Update
from shared.ids import new_id
from shared.tasks import store as store_module
from shared.tasks.events import MediaAttached
from shared.tasks.model import MOST_PICTURES
from tests.fixtures.api import ADA, BOB, refusal
from tests.fixtures.stores import Budget, WatchedDocuments
from tests.tasks.world import World, event

WHOLE = {
    "title": "Ünï ☃ 🎉",
    "description": "two\nlines",
    "status": "doing",
    "priority": "high",
    "labels": ["home", "shop"],
    "dueAt": "2026-12-24T18:00:00Z",
}


def test_a_task_is_made_read_changed_and_deleted(world: World) -> None:
    made = world.api("POST", "/", WHOLE)
    assert made.status_code == 201
    task = made.get_json()
    assert made.headers["Location"] == f"/api/tasks/{task['id']}"
    assert {name: task[name] for name in WHOLE} == WHOLE
    assert task["mediaCount"] == 0
    read = world.api("GET", f"/{task['id']}")
    assert (read.get_json(), read.headers["ETag"]) == (task, made.headers["ETag"])
    changed = world.api("PATCH", f"/{task['id']}", {"status": "done"})
    assert changed.get_json() == {
        **task,
        "status": "done",
        "updatedAt": changed.get_json()["updatedAt"],
    }
    assert changed.get_json()["updatedAt"] > task["updatedAt"]
    assert changed.headers["ETag"] != read.headers["ETag"]
    assert world.api.read(f"/{task['id']}") == changed.get_json()
    assert world.api("DELETE", f"/{task['id']}").status_code == 204
    assert world.api("GET", f"/{task['id']}").status_code == 404
    assert world.api("DELETE", f"/{task['id']}").status_code == 404


def test_the_first_snaptasks_curl_line_works(world: World) -> None:
    task = world.api.make("/", {"title": "Buy milk"})
    assert (task["status"], task["priority"], task["labels"]) == ("open", "normal", [])
    assert (task["description"], task["dueAt"]) == ("", None)


def test_a_patch_changes_what_it_names_and_null_takes_the_date_away(world: World) -> None:
    task = world.api.make("/", WHOLE)
    path = f"/{task['id']}"
    assert world.api("PATCH", path, {}).get_json() | {"updatedAt": 0} == task | {"updatedAt": 0}
    assert world.api("PATCH", path, {"dueAt": None}).get_json()["dueAt"] is None
    assert world.api("PATCH", path, {"labels": []}).get_json()["labels"] == []
    assert world.api("PATCH", path, {"description": ""}).get_json()["description"] == ""
    final = world.api.read(path)
    kept = {"title", "status", "priority", "createdAt", "id"}
    assert {name: final[name] for name in kept} == {name: task[name] for name in kept}
    for name in ("title", "status", "priority", "labels", "description"):
        assert world.api("PATCH", path, {name: None}).status_code == 422
    for name in ("id", "owner", "mediaCount", "createdAt", "commitId", "due_at", "schemaVersion"):
        assert world.api("PATCH", path, {name: 1}).status_code == 422
    assert world.api.read(path) == final


def test_labels_are_kept_once_and_in_order(world: World) -> None:
    assert world.api.make("/", {"title": "x", "labels": ["b", "a", "b"]})["labels"] == ["b", "a"]


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ""},
        {"title": " \u2003\n"},
        {"title": "\0"},
        # Zero width, turned around, a mark on nothing, blank letters.
        {"title": "\u200b\u2060\ufeff \u202e\u00ad"},
        {"title": "\ufe0f\u0301\u034f"},
        {"title": "\u3164\u115f\u2800"},
        {"labels": ["home", "\u200d"]},
        {"title": "x" * 201},
        {"title": 7},
        {"title": ["x"]},
        {"description": "x" * 10_001},
        {"status": "Open"},
        {"status": ""},
        {"priority": "urgent"},
        {"labels": "home"},
        {"labels": [""]},
        {"labels": [" "]},
        {"labels": ["x" * 41]},
        {"labels": [f"l{n}" for n in range(21)]},
        {"dueAt": "2026-12-24"},
        {"dueAt": "2026-12-24T18:00:00"},
        {"dueAt": "tomorrow"},
        {"dueAt": 1766599200},
        {"dueAt": "0001-01-01T00:00:00+23:59"},
        {"dueAt": "9999-12-31T23:59:59-23:59"},
        {"dueAt": "2026-02-30T00:00:00Z"},
        # Begun in a date field: "2" on the way to 2026.
        {"dueAt": "0002-11-26T00:00:00Z"},
        {"dueAt": "1899-12-30T23:59:59.999999Z"},
        {"dueAt": "9999-01-02T00:00:00Z"},
        {"dueAt": "9999-12-31T23:59:59.999999Z"},
        {"extra": 1},
        {"due_at": None},
        {"owner": BOB},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_a_value_out_of_bounds_is_told_and_nothing_is_stored(
    world: World, fields: dict[str, Any]
) -> None:
    refused = world.api("POST", "/", {"title": "x", **fields})
    assert refused.status_code == 422
    (name,) = fields
    pointers = [error["pointer"] for error in refused.get_json(force=True)["errors"]]
    assert all(pointer.startswith(f"/{name}") for pointer in pointers)
    assert world.api.read("/")["items"] == []
    task = world.task()
    assert world.api("PATCH", f"/{task}", fields).status_code == 422


@pytest.mark.parametrize(
    "fields",
    [
        {"title": "x" * 200},
        {"title": "🎉" * 200},
        {"title": " x "},
        {"title": "\0x"},
        {"title": "\u200bx\u200b"},
        {"title": "ด"},
        {"title": "…"},
        {"description": "☃" * 10_000},
        {"labels": [f"l{n}" for n in range(20)]},
        {"labels": ["x" * 40]},
        {"dueAt": "1899-12-31T00:00:00Z"},
        {"dueAt": "9999-01-01T23:59:59.999999Z"},
    ],
    ids=lambda fields: str(fields)[:30].encode("ascii", "replace").decode(),
)
def test_a_value_at_its_bound_is_kept_exactly(world: World, fields: dict[str, Any]) -> None:
    task = world.api.make("/", {"title": "x", **fields})
    (name,) = fields
    assert world.api.read(f"/{task['id']}")[name] == fields[name]


def test_a_moment_is_answered_in_utc(world: World) -> None:
    task = world.api.make("/", {"title": "x", "dueAt": "2026-12-24T18:00:00+05:30"})
    assert task["dueAt"] == "2026-12-24T12:30:00Z"


def test_if_match_lets_only_the_seen_state_be_changed(world: World) -> None:
    task = world.task()
    seen = world.api("GET", f"/{task}").headers["ETag"]
    first = world.api("PATCH", f"/{task}", {"title": "A"}, headers={"If-Match": seen})
    assert first.status_code == 200
    for stale in (seen, '"x"', f"W/{first.headers['ETag']}", "", "garbage", f'"a", {seen}'):
        for method, body in (("PATCH", {"title": "B"}), ("DELETE", None)):
            refused = world.api(method, f"/{task}", body, headers={"If-Match": stale})
            assert refused.status_code == 412
    assert world.api.read(f"/{task}")["title"] == "A"
    listed = f'"other", {first.headers["ETag"]}'
    second = world.api("PATCH", f"/{task}", {"title": "C"}, headers={"If-Match": listed})
    assert second.status_code == 200
    assert (
        world.api("PATCH", f"/{task}", {"title": "D"}, headers={"If-Match": "*"}).status_code == 200
    )
    third = world.api("GET", f"/{task}").headers["ETag"]
    assert world.api("DELETE", f"/{task}", headers={"If-Match": third}).status_code == 204
    assert world.api("DELETE", f"/{task}", headers={"If-Match": "*"}).status_code == 404


def test_attaching_changes_what_if_match_saw(world: World) -> None:
    task, picture = world.task(), world.picture()
    seen = world.api("GET", f"/{task}").headers["ETag"]
    world.attach(task, picture)
    stale = world.api("DELETE", f"/{task}", headers={"If-Match": seen})
    assert stale.status_code == 412


def test_an_etag_the_client_has_is_not_sent_again(world: World) -> None:
    task = world.task()
    etag = world.api("GET", f"/{task}").headers["ETag"]
    again = world.api("GET", f"/{task}", headers={"If-None-Match": etag})
    assert (again.status_code, again.get_data()) == (304, b"")


def test_one_key_makes_one_task(world: World) -> None:
    first = world.api.make("/", WHOLE, Idempotency_Key="k 1/é")
    assert world.api.make("/", WHOLE, Idempotency_Key="k 1/é") == first
    assert world.api.make("/", WHOLE, BOB, Idempotency_Key="k 1/é")["id"] != first["id"]
    assert world.api.make("/", WHOLE, Idempotency_Key="k 2")["id"] != first["id"]
    other = world.api("POST", "/", {"title": "x"}, headers={"Idempotency-Key": "k 1/é"})
    assert other.status_code == 409
    world.api("PATCH", f"/{first['id']}", {"title": "changed"})
    replayed = world.api.make("/", WHOLE, Idempotency_Key="k 1/é")
    assert (replayed["id"], replayed["title"]) == (first["id"], "changed")
    assert len(world.api.read("/")["items"]) == 2


def test_an_empty_key_is_none(world: World) -> None:
    first = world.api.make("/", {"title": "a"}, Idempotency_Key="")
    second = world.api.make("/", {"title": "b"}, Idempotency_Key="")
    assert first["id"] != second["id"]


def test_a_key_in_another_spelling_of_the_same_body_is_the_same_request(world: World) -> None:
    first = world.api.make("/", {"title": "a", "labels": []}, Idempotency_Key="k")
    assert world.api.make("/", {"title": "a"}, Idempotency_Key="k")["id"] == first["id"]


CALLS: list[tuple[str, str, Any]] = [
    ("GET", "/{task}", None),
    ("PATCH", "/{task}", {"title": "mine"}),
    ("DELETE", "/{task}", None),
    ("POST", "/{task}/attach-media", {"mediaId": "{picture}"}),
    ("DELETE", "/{task}/detach-media/{picture}", None),
    ("GET", "/{task}/with-media", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
def test_anothers_task_and_a_missing_one_look_the_same_to_the_letter(
    world: World, method: str, path: str, body: Any
) -> None:
    task, picture = world.task(), world.picture(BOB)
    world.attach(task, world.picture())
    before = world.api.read(f"/{task}")

    def asked(identifier: str) -> tuple[int, str]:
        filled = {name: value.format(picture=picture) for name, value in (body or {}).items()}
        url = path.format(task=identifier, picture=picture)
        options = {} if body is None else {"body": filled}
        return refusal(world.api(method, url, user=BOB, **options))

    missing = asked(new_id())
    assert missing[0] == 404
    assert asked(task) == missing
    for odd in ("..x", "__x__", "x" * 300, "A" * 20, "a" * 19 + "é", "a" * 19 + "1", "a.b", "~"):
        assert asked(odd) == missing
    assert world.api.read(f"/{task}") == before


def test_nobody_is_asked_to_sign_in(world: World) -> None:
    task = world.task()
    for method, path, body in [*CALLS, ("GET", "/", None), ("POST", "/", {"title": "x"})]:
        options = {} if body is None else {"body": body}
        url = path.format(task=task, picture=new_id())
        assert world.api(method, url, user="nobody", **options).status_code == 401
    assert len(world.api.read("/")["items"]) == 1


def pages(world: World, query: str, user: str = ADA) -> list[list[str]]:
    seen, cursor = [], ""
    while True:
        page = world.api.read(f"/?{query}{cursor}", user)
        seen.append([task["id"] for task in page["items"]])
        if page["nextCursor"] is None:
            return seen
        cursor = f"&cursor={page['nextCursor']}"


def test_lists_are_the_newest_first_and_each_ones_own(world: World) -> None:
    mine = [world.task(status="done" if n % 2 else "open") for n in range(9)]
    theirs = [world.task(BOB) for _ in range(3)]
    mine.reverse()
    assert pages(world, "limit=4") == [mine[:4], mine[4:8], mine[8:]]
    assert pages(world, "limit=9") == [mine]
    assert pages(world, "limit=2&status=open") == [mine[0:4:2], mine[4:8:2], mine[8::2]]
    assert pages(world, "limit=100", BOB) == [theirs[::-1]]
    assert pages(world, "status=doing") == [[]]


def test_a_list_without_a_limit_holds_twenty(world: World) -> None:
    mine = [world.task() for _ in range(21)]
    assert pages(world, "") == [mine[:0:-1], mine[:1]]


def test_tasks_of_one_moment_are_all_listed_once(world: World) -> None:
    world.clock.step *= 0
    made = {world.task() for _ in range(10)}
    seen = [one for page in pages(world, "limit=3") for one in page]
    assert len(seen) == 10
    assert set(seen) == made


def test_a_walk_through_the_pages_stands_what_comes_and_goes_meanwhile(world: World) -> None:
    made = [world.task() for _ in range(12)][::-1]
    first = world.api.read("/?limit=4")
    assert [task["id"] for task in first["items"]] == made[:4]
    # The very last of the page, one behind it, and a new one before it.
    for gone in (made[3], made[5]):
        world.api("DELETE", f"/{gone}")
    world.task()
    second = world.api.read(f"/?limit=4&cursor={first['nextCursor']}")
    assert [task["id"] for task in second["items"]] == [made[4], *made[6:9]]


def test_a_cursor_belongs_to_its_owner_and_its_filter(world: World) -> None:
    for _ in range(3):
        world.task()
        world.task(BOB)
    cursor = world.api.read("/?limit=1")["nextCursor"]
    for query, user in ((f"cursor={cursor}", BOB), (f"cursor={cursor}&status=open", ADA)):
        refused = world.api("GET", f"/?{query}", user=user)
        assert refused.status_code == 422
        assert refused.get_json(force=True)["errors"][0]["pointer"] == "/cursor"


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=x",
        "limit=1e1",
        "limit=",
        "status=Open",
        "status=",
        "status=open&status=x",
        "sort=labels",
        "direction=up",
        "scope=mine",
        "q=",
        "q=%21%3F",
        "q=a&q=b",
        "dueFrom=tomorrow",
        "dueFrom=2026-01-01",
        "label=",
        "owner=x",
        "cursor=x",
        "cursor=" + "A" * 500,
    ],
)
def test_a_bad_query_is_refused(world: World, query: str) -> None:
    assert world.api("GET", f"/?{query}").status_code == 422


def test_a_picture_is_attached_once_and_shown_in_order(world: World) -> None:
    task = world.task()
    first, second = world.picture(name="1.jpg"), world.picture(name="2.jpg")
    assert world.attach(task, first)["mediaCount"] == 1
    assert world.attach(task, second)["mediaCount"] == 2
    assert world.attach(task, first)["mediaCount"] == 2
    shown = world.api.read(f"/{task}/with-media")
    assert [one["id"] for one in shown["media"]] == [first, second]
    assert shown["media"][0] == {
        "id": first,
        "state": "pending",
        "fileName": "1.jpg",
        "contentType": "image/jpeg",
        "width": None,
        "height": None,
        "thumbnailUrl": None,
    }


def test_one_picture_may_be_on_many_tasks(world: World) -> None:
    tasks, picture = [world.task(), world.task()], world.picture()
    for task in tasks:
        world.attach(task, picture)
    world.api("DELETE", f"/{tasks[0]}")
    assert world.attached(tasks[1]) == [picture]
    assert world.attachments() == {f"{tasks[1]}_{picture}"}


def test_detaching_leaves_the_picture_and_happens_once(world: World) -> None:
    task, picture = world.task(), world.picture()
    world.attach(task, picture)
    path = f"/{task}/detach-media/{picture}"
    assert world.api("DELETE", path).status_code == 204
    assert world.api("DELETE", path).status_code == 404
    assert (world.count(task), world.attached(task)) == (0, [])
    assert world.media.get(picture) is not None
    assert world.attach(task, picture)["mediaCount"] == 1


def test_anothers_or_a_rejected_picture_is_no_picture(world: World) -> None:
    task = world.task()
    rejected, trashed = world.picture(), world.picture()
    for identifier, state in ((rejected, "rejected"), (trashed, "trashed")):
        world.documents.commit([Update(f"media/{identifier}", {"state": state})])
    answers = {
        refusal(world.api("POST", f"/{task}/attach-media", {"mediaId": picture}))
        for picture in (world.picture(BOB), new_id(), rejected, trashed)
    }
    assert [status for status, _ in answers] == [404]
    assert world.count(task) == 0
    for odd in ("..", "", "a/b", "x" * 5000, "__x__"):
        assert world.api("POST", f"/{task}/attach-media", {"mediaId": odd}).status_code == 404


def test_a_picture_that_was_thrown_away_is_shown_no_more(world: World) -> None:
    task, picture = world.task(), world.picture()
    world.attach(task, picture)
    world.documents.commit([Update(f"media/{picture}", {"state": "deleted"})])
    assert world.attached(task) == []


def test_a_full_task_takes_no_further_picture_but_the_ones_it_has(world: World) -> None:
    task, picture, extra = world.task(), world.picture(), world.picture()
    world.attach(task, picture)
    world.documents.commit([Update(f"tasks/{task}", {"mediaCount": MOST_PICTURES})])
    refused = world.api("POST", f"/{task}/attach-media", {"mediaId": extra})
    assert refused.status_code == 409
    assert world.attach(task, picture)["mediaCount"] == MOST_PICTURES


def test_deleting_a_task_takes_every_attachment_along_even_beyond_the_cap(world: World) -> None:
    """The cap is checked before the commit, so many at once may pass it."""
    task = world.service.read(ADA, world.task())
    count = MOST_PICTURES + 30
    store = world.store
    for _ in range(count):
        store.attach(task, [event(MediaAttached, task.id, media_id=new_id())])
    assert world.count(task.id) == count
    assert len(store.media_of(task)) == count
    assert count <= store_module.MOST_ATTACHED
    assert world.api("DELETE", f"/{task.id}").status_code == 204
    assert world.attachments() == set()


BUDGETS: list[tuple[str, str, Any, dict[str, int], int]] = [
    ("GET", "/", None, {"query": 1}, 0),
    # Counted by the database: the first one of half a minute.
    ("POST", "/", {"title": "x"}, {"query": 1, "commit": 1}, 2),
    ("GET", "/{task}", None, {"get": 1}, 0),
    ("PATCH", "/{task}", {"title": "y"}, {"get": 1, "commit": 1}, 2),
    ("POST", "/{task}/attach-media", {"mediaId": "{other}"}, {"get": 3, "commit": 1}, 3),
    ("GET", "/{task}/with-media", None, {"get": 2, "query": 1}, 0),
    ("DELETE", "/{task}/detach-media/{picture}", None, {"get": 2, "commit": 1}, 3),
    ("DELETE", "/{task}", None, {"get": 1, "query": 3, "commit": 2}, 5),
]


@pytest.mark.parametrize(("method", "path", "body", "calls", "written"), BUDGETS)
def test_each_endpoint_stays_inside_its_budget(
    world: World, method: str, path: str, body: Any, calls: dict[str, int], written: int
) -> None:
    task, picture, other = world.task(), world.picture(), world.picture()
    world.attach(task, picture)
    for _ in range(5):
        world.task()
    budget = Budget()
    watched = World(WatchedDocuments(world.documents, budget))
    filled = {name: value.format(other=other) for name, value in (body or {}).items()}
    options = {} if body is None else {"body": filled}
    answer = watched.api(method, path.format(task=task, picture=picture), **options)
    assert answer.status_code < 300
    assert budget.calls == calls
    assert budget.written == written
