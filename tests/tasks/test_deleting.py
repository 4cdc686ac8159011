"""What is deleted is gone for everybody at once, does not come back, and leaves nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.documents import AlreadyExists, DocumentStore, PreconditionFailed, Update
from shared.errors import Unavailable
from shared.ids import derived_id, new_id
from shared.tasks import remains
from shared.tasks.erasure import TaskErasure
from shared.tasks.remains import TaskCare
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.tasks.world import World

BESIDE = ("attachments", "comments", "invitations")
EVE = derived_id("eve")


class Killed(BaseException):
    """The process is gone."""


def full(world: World, user: str = ADA, comments: int = 3) -> str:
    """A task with pictures, comments, a member and an invitation."""
    task = world.task(user)
    for _ in range(2):
        world.attach(task, world.picture(user), user)
    for _ in range(comments):
        world.comment(task, user=user)
    world.share(task, EVE, owner=user)
    world.api.make(f"/{task}/invitations", {"role": "viewer"}, user)
    return task


def left(documents: DocumentStore) -> int:
    return sum(len(documents.query(name, limit=1000)) for name in BESIDE)


def outcomes(world: World, ids: list[str], user: str = ADA) -> list[str]:
    items = world.api.make("/bulk-delete", {"ids": ids}, user)["items"]
    assert [one["id"] for one in items] == ids
    return [one["outcome"] for one in items]


def test_a_task_made_under_a_key_does_not_come_back_after_its_deletion(world: World) -> None:
    body, key = {"title": "x"}, {"Idempotency-Key": "k"}
    task = world.api("POST", "/", body, headers=key).get_json()["id"]
    world.api("DELETE", f"/{task}")
    assert world.api("POST", "/", body, headers=key).status_code == 409
    assert world.ids() == []


def test_a_key_under_way_while_its_task_is_deleted_makes_nothing_anew(
    documents: DocumentStore,
) -> None:
    world = World(documents)
    body, key = {"title": "x"}, {"Idempotency-Key": "k"}

    def deleted(name: str, _: int) -> None:
        if name == "commit":
            made = world.api("POST", "/", body, headers=key).get_json()
            if "id" in made:
                world.api("DELETE", f"/{made['id']}")

    late = World(WatchedDocuments(documents, deleted))
    assert late.api("POST", "/", body, headers=key).status_code == 409
    assert world.ids() == []


@pytest.mark.parametrize("guard", [AlreadyExists, PreconditionFailed])
def test_who_deletes_second_meets_a_missing_task_whichever_guard_the_store_tells(
    guard: type[Exception],
) -> None:
    world = World(memory_documents())
    one, other = world.task(), world.task()

    def rival(name: str, _: int) -> None:
        if name == "commit" and world.api("DELETE", f"/{one}").status_code == 204:
            raise guard(f"deletedTasks/{one}")

    late = World(WatchedDocuments(world.documents, rival))
    assert late.api("DELETE", f"/{one}").status_code == 404
    one = world.task()
    outcomes = late.api.make("/bulk-delete", {"ids": [one, other]})["items"]
    assert [item["outcome"] for item in outcomes] == ["done", "done"]


def test_a_task_is_made_with_its_pictures_in_one_commit(world: World) -> None:
    pictures = [world.picture(), world.picture()]
    task = world.api.make("/", {"title": "x", "mediaIds": pictures}, Idempotency_Key="k")
    assert task["mediaCount"] == 2
    assert set(world.attached(task["id"])) == set(pictures)
    world.documents.commit([Update(f"media/{pictures[0]}", {"state": "deleted"})])
    body = {"title": "x", "mediaIds": pictures}
    again = world.api.make("/", body, Idempotency_Key="k")
    assert again["id"] == task["id"]
    for wrong in (world.picture(BOB), new_id(), "..", pictures[0]):
        refused = world.api("POST", "/", {"title": "y", "mediaIds": [pictures[1], wrong]})
        assert refused.status_code == 404
    assert world.ids() == [task["id"]]
    assert len(world.attachments()) == 2


def test_several_pictures_are_attached_at_once_and_counted_once(world: World) -> None:
    task, pictures = world.task(), [world.picture() for _ in range(4)]
    world.attach(task, pictures[1])
    path = f"/{task}/attach-media"
    assert world.api.make(path, {"mediaIds": pictures})["mediaCount"] == 4
    assert world.api.make(path, {"mediaIds": [*pictures, *pictures]})["mediaCount"] == 4
    refused = world.api("POST", path, {"mediaIds": [world.picture(), world.picture(BOB)]})
    assert refused.status_code == 404
    assert world.count(task) == 4
    for wrong in ({}, {"mediaIds": []}, {"mediaId": pictures[0], "mediaIds": pictures}):
        assert world.api("POST", path, wrong).status_code == 422


def test_attaching_again_under_a_key_does_not_undo_a_detach(world: World) -> None:
    task, picture = world.task(), world.picture()
    path, body = f"/{task}/attach-media", {"mediaId": picture}
    world.api.make(path, body, Idempotency_Key="k")
    world.api("DELETE", f"/{task}/detach-media/{picture}")
    assert world.api.make(path, body, Idempotency_Key="k")["mediaCount"] == 0
    assert world.api.make(path, body)["mediaCount"] == 1


def test_pictures_take_the_order_they_are_given(world: World) -> None:
    task, pictures = world.task(), [world.picture() for _ in range(4)]
    world.api.make(f"/{task}/attach-media", {"mediaIds": pictures[:3]})
    path = f"/{task}/media-order"
    for wrong in (pictures[:2], pictures, [], [*pictures[:2], new_id()]):
        assert world.api("PUT", path, {"mediaIds": wrong}).status_code == 409
    seen = {"If-Match": world.api("GET", f"/{task}").headers["ETag"]}
    order = [pictures[2], pictures[0], pictures[1]]
    assert world.api("PUT", path, {"mediaIds": order}, headers=seen).status_code == 200
    assert world.api("PUT", path, {"mediaIds": order}, headers=seen).status_code == 412
    world.attach(task, pictures[3])
    assert world.attached(task) == [*order, pictures[3]]
    # What is in the trash is not shown, so nobody can name it; who knows it may.
    world.documents.commit([Update(f"media/{order[1]}", {"state": "trashed"})])
    for shown in ([order[2], pictures[3], order[0]], [order[2], order[1], pictures[3], order[0]]):
        assert world.api("PUT", path, {"mediaIds": shown}).status_code == 200
        assert world.attached(task) == [one for one in shown if one != order[1]]
    for wrong in ([order[1]], [order[2], pictures[3]]):
        assert world.api("PUT", path, {"mediaIds": wrong}).status_code == 409
    world.documents.commit([Update(f"media/{order[1]}", {"state": "ready"})])
    world.api("PUT", path, {"mediaIds": [*order, pictures[3]]})
    world.api("DELETE", f"/{task}/detach-media/{order[0]}")
    assert world.attached(task) == [*order[1:], pictures[3]]


def test_a_cover_is_a_picture_of_the_task_and_goes_with_it(world: World) -> None:
    task, picture, other = world.task(), world.picture(), world.picture()
    world.attach(task, picture)
    world.attach(task, other)
    for wrong in (world.picture(), new_id(), "..", ""):
        assert world.api("PATCH", f"/{task}", {"cover": wrong}).status_code == 409
    assert world.api("PATCH", f"/{task}", {"cover": picture}).get_json()["cover"] == picture
    world.api("DELETE", f"/{task}/detach-media/{other}")
    assert world.api.read(f"/{task}")["cover"] == picture
    world.api("DELETE", f"/{task}/detach-media/{picture}")
    assert world.api.read(f"/{task}")["cover"] is None
    world.attach(task, picture)
    world.api("PATCH", f"/{task}", {"cover": picture})
    assert world.api("PATCH", f"/{task}", {"cover": None}).get_json()["cover"] is None


@pytest.mark.parametrize("first", ["cover", "detach"])
def test_no_cover_is_left_whose_picture_is_detached_at_the_same_moment(
    documents: DocumentStore, first: str
) -> None:
    world = World(documents)
    task, picture = world.task(), world.picture()
    world.attach(task, picture)
    once = [1]

    def cover(api: Any) -> int:
        return int(api("PATCH", f"/{task}", {"cover": picture}).status_code)

    def detach(api: Any) -> int:
        return int(api("DELETE", f"/{task}/detach-media/{picture}").status_code)

    def between(name: str, _: int) -> None:
        if name == "commit" and once:
            once.clear()
            (cover if first == "cover" else detach)(world.api)

    late = World(WatchedDocuments(documents, between))
    answer = (detach if first == "cover" else cover)(late.api)
    assert answer == (204 if first == "cover" else 409)
    task_now = world.api.read(f"/{task}")
    assert (task_now["cover"], task_now["mediaCount"]) == (None, 0)


def test_a_deletion_cut_off_after_its_commit_is_ended_by_the_job(
    documents: DocumentStore,
) -> None:
    world = World(documents)
    task, kept = full(world), full(world)
    before = left(documents)

    def killed(name: str, _: int) -> None:
        if name == "after commit":
            raise Killed

    with pytest.raises(Killed):
        World(WatchedDocuments(documents, killed)).api("DELETE", f"/{task}")
    assert left(documents) == before
    for path in ("", "/with-media", "/comments", "/activity", "/members"):
        for user in (ADA, EVE):
            assert world.api("GET", f"/{task}{path}", user=user).status_code == 404
    assert world.ids("scope=shared", EVE) == [kept]
    assert TaskCare(documents).run() == 1
    assert left(documents) == before // 2
    assert TaskCare(documents).run() == 0
    assert len(world.attached(kept)) == 2


def test_what_hangs_on_a_task_may_be_more_than_one_commit_takes(
    monkeypatch: pytest.MonkeyPatch, documents: DocumentStore
) -> None:
    monkeypatch.setattr(remains, "_BATCH", 2)
    world = World(documents)
    short, long = full(world, comments=5), full(world, comments=12)
    assert world.api("DELETE", f"/{short}").status_code == 204
    assert world.api("DELETE", f"/{long}").status_code == 204
    assert left(documents) == 4
    runs = 0
    while TaskCare(documents).run():
        runs += 1
    assert left(documents) == 0
    assert runs == 3


def test_an_outage_after_the_commit_is_no_failure_of_the_deletion(
    documents: DocumentStore,
) -> None:
    world = World(documents)
    task, commits = full(world), [0]

    def down(name: str, _: int) -> None:
        commits[0] += name == "after commit"
        if commits[0] and name == "query":
            raise Unavailable

    answer = World(WatchedDocuments(documents, down)).api("DELETE", f"/{task}")
    assert answer.status_code == 204
    assert world.api("DELETE", f"/{task}").status_code == 404
    TaskCare(documents).run()
    assert left(documents) == 0


def test_many_tasks_are_deleted_at_once_each_with_its_outcome(world: World) -> None:
    mine = [full(world) for _ in range(3)]
    theirs, shared = world.task(BOB), world.task(BOB)
    world.share(shared, ADA, "editor", owner=BOB)
    ids = [mine[0], theirs, mine[1], new_id(), "..", shared]
    expected = ["done", "not-found", "done", "not-found", "not-found", "refused"]
    assert outcomes(world, ids) == expected
    assert outcomes(world, ids) == expected
    assert world.ids() == [mine[2]]
    assert world.ids(user=BOB) == [shared, theirs]
    TaskCare(world.documents).run()
    assert left(world.documents) == 6
    assert outcomes(world, [mine[0]], BOB) == ["not-found"]


def test_one_that_changes_meanwhile_keeps_none_from_going(documents: DocumentStore) -> None:
    world = World(documents)
    tasks, once = [world.task() for _ in range(4)], [1]

    def changed(name: str, _: int) -> None:
        if name == "commit" and once:
            once.clear()
            world.api("PATCH", f"/{tasks[2]}", {"title": "x"})
            world.api("DELETE", f"/{tasks[3]}")

    assert outcomes(World(WatchedDocuments(documents, changed)), tasks) == ["done"] * 4
    assert world.ids() == []


@pytest.mark.parametrize("ids", [[], "x", [7], ["x"] * 101, [f"{n}" for n in range(101)], None])
def test_a_list_of_ids_has_bounds(world: World, ids: Any) -> None:
    expected = 422
    for path, more in (("/bulk-delete", {}), ("/bulk-change", {"status": "done"})):
        assert world.api("POST", path, {"ids": ids, **more}).status_code == expected


def test_a_hundred_tasks_go_in_one_call(world: World) -> None:
    tasks = [world.task() for _ in range(100)]
    assert set(outcomes(world, tasks)) == {"done"}
    assert world.ids() == []


def test_many_tasks_get_a_status_at_once(world: World) -> None:
    mine, theirs, seen = world.task(), world.task(BOB), world.task(BOB)
    world.share(seen, ADA, "viewer", owner=BOB)
    made = world.api.make("/bulk-change", {"ids": [mine, theirs, seen], "status": "done"})
    assert [one["outcome"] for one in made["items"]] == ["done", "not-found", "refused"]
    assert world.api.read(f"/{mine}")["status"] == "done"
    assert world.api.read(f"/{seen}", BOB)["status"] == "open"


def test_an_account_that_goes_leaves_nothing_of_its_own_anywhere(
    documents: DocumentStore,
) -> None:
    world = World(documents)
    own = [full(world, BOB) for _ in range(2)]
    world.api.make("/", {"title": "keyed"}, BOB, Idempotency_Key="k")
    adas, keptpicture = world.task(), world.picture()
    world.share(adas, BOB)
    world.attach(adas, keptpicture)
    world.attach(adas, world.picture(BOB), BOB)
    for _ in range(3):
        world.comment(adas, "Bob was here", BOB)
    world.comment(adas, "Ada too")
    told = [one.path for one in documents.query("outbox", limit=500)]
    erasure = TaskErasure(documents)
    calls = 0
    while not erasure.erase_owner(BOB):
        calls += 1
        assert calls < 10
    assert erasure.erase_owner(BOB)
    assert world.ids("scope=all", BOB) == []
    assert [world.api("GET", f"/{one}", user=EVE).status_code for one in own] == [404, 404]
    task = world.api.read(f"/{adas}")
    assert (task["mediaCount"], task["commentCount"]) == (1, 1)
    assert world.attached(adas) == [keptpicture]
    comments = world.api.read(f"/{adas}/comments")["items"]
    assert [one["text"] for one in comments] == ["Ada too"]
    collections = (*BESIDE, "tasks", "deletedTasks", "idempotency")
    stored = [doc.data for name in collections for doc in documents.query(name, limit=500)]
    assert BOB not in repr(stored)
    # What happens to Ada's task is hers to know; of his own tasks nothing is told any more.
    since = [one for one in documents.query("outbox", limit=500) if one.path not in told]
    assert {json.loads(one.data["data"])["owner"] for one in since} == {ADA}


@pytest.mark.proof
@pytest.mark.parametrize("nth", range(1, 40))
def test_the_erasing_of_an_account_may_be_killed_anywhere(nth: int) -> None:
    documents = memory_documents()
    world = World(documents)
    full(world, BOB)
    adas = world.task()
    world.share(adas, BOB)
    world.attach(adas, world.picture(BOB), BOB)
    world.comment(adas, "x", BOB)
    counted = [0]

    def killed(_: str, __: int) -> None:
        counted[0] += 1
        if counted[0] == nth:
            raise Killed

    try:
        TaskErasure(WatchedDocuments(documents, killed)).erase_owner(BOB)
    except Killed:
        pass
    for _ in range(4):
        done = TaskErasure(documents).erase_owner(BOB)
    assert done
    task = world.api.read(f"/{adas}")
    assert (task["mediaCount"], task["commentCount"]) == (0, 0)
    assert left(documents) == 0
