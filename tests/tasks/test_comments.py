"""Comments: written once, counted exactly, read in order, gone with the task."""

from __future__ import annotations

import pytest

from shared.documents import DocumentStore, Update
from shared.errors import Unavailable
from shared.ids import derived_id, new_id
from shared.tasks import model
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import WatchedDocuments
from tests.tasks.test_task_races import at_once
from tests.tasks.world import World


def texts(world: World, task: str, user: str = ADA) -> list[str]:
    found, cursor = [], ""
    while True:
        page = world.api.read(f"/{task}/comments?limit=3{cursor}", user)
        found += [one["text"] for one in page["items"]]
        if page["nextCursor"] is None:
            return found
        cursor = f"&cursor={page['nextCursor']}"


def count(world: World, task: str) -> int:
    number: int = world.api.read(f"/{task}")["commentCount"]
    return number


def test_a_comment_is_written_read_changed_and_deleted(world: World) -> None:
    task = world.task()
    made = world.api("POST", f"/{task}/comments", {"text": "Ünï ☃"})
    assert made.status_code == 201
    comment = made.get_json()
    path = f"/{task}/comments/{comment['id']}"
    assert made.headers["Location"] == f"/api/tasks{path}"
    assert (comment["author"], comment["text"]) == (ADA, "Ünï ☃")
    stale = {"If-Match": made.headers["ETag"]}
    changed = world.api("PATCH", path, {"text": "Now"}, headers=stale)
    assert changed.status_code == 200
    assert changed.get_json()["updatedAt"] > comment["updatedAt"]
    assert world.api("PATCH", path, {"text": "Late"}, headers=stale).status_code == 412
    assert world.api("DELETE", path, headers=stale).status_code == 412
    assert texts(world, task) == ["Now"]
    assert count(world, task) == 1
    seen = {"If-Match": changed.headers["ETag"]}
    assert world.api("DELETE", path, headers=seen).status_code == 204
    assert world.api("DELETE", path).status_code == 404
    assert (texts(world, task), count(world, task)) == ([], 0)


def test_comments_are_read_in_pages_the_oldest_first(world: World) -> None:
    task, other = world.task(), world.task()
    for number in range(8):
        world.comment(task, f"{number}")
        world.comment(other, "elsewhere")
    assert texts(world, task) == [str(number) for number in range(8)]
    cursor = world.api.read(f"/{task}/comments?limit=1")["nextCursor"]
    assert world.api("GET", f"/{other}/comments?cursor={cursor}").status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {},
        *({"text": text} for text in ("", " \n", "\u200b", 7, "x" * 4001)),
        {"text": "x", "author": BOB},
    ],
)
def test_what_is_no_comment_is_refused(world: World, body: object) -> None:
    task = world.task()
    assert world.api("POST", f"/{task}/comments", body).status_code == 422
    assert count(world, task) == 0


def test_a_comment_is_reached_through_its_own_task_only(world: World) -> None:
    task, other = world.task(), world.task()
    comment = world.comment(task)
    for method, options in (("PATCH", {"body": {"text": "x"}}), ("DELETE", {})):
        for name in (comment, new_id(), "..x", "x"):
            where = other if name == comment else task
            answer = world.api(method, f"/{where}/comments/{name}", **options)
            assert answer.status_code == 404
    assert texts(world, task) == ["Hm"]


def test_one_key_makes_one_comment_and_none_anew_when_it_was_deleted(world: World) -> None:
    task = world.task()
    first = world.comment(task, "once", Idempotency_Key="k")
    assert world.comment(task, "once", Idempotency_Key="k") == first
    assert (count(world, task), texts(world, task)) == (1, ["once"])
    key = {"Idempotency-Key": "k"}
    other = world.api("POST", f"/{task}/comments", {"text": "two"}, headers=key)
    assert other.status_code == 409
    assert world.comment(world.task(), "once", Idempotency_Key="k") != first
    world.api("DELETE", f"/{task}/comments/{first}")
    again = world.api("POST", f"/{task}/comments", {"text": "once"}, headers=key)
    assert again.status_code == 409
    assert count(world, task) == 0


def test_many_comments_at_once_all_count(world: World) -> None:
    task = world.task()
    path = f"/{task}/comments"
    calls = [lambda n=n: world.api("POST", path, {"text": f"{n}"}).status_code for n in range(12)]
    assert at_once(calls) == [201] * 12
    assert count(world, task) == 12
    assert sorted(map(int, texts(world, task))) == list(range(12))


def test_comments_of_several_members_at_once_all_count(world: World) -> None:
    task = world.task()
    people = [derived_id(f"member {n}") for n in range(6)]
    for person in people:
        world.share(task, person)
    path = f"/{task}/comments"
    calls = [
        lambda user=user: world.api("POST", path, {"text": "x"}, user=user).status_code
        for user in people * 2
    ]
    assert at_once(calls) == [201] * 12
    assert count(world, task) == 12


def test_a_comment_deleted_many_times_at_once_counts_once(world: World) -> None:
    task = world.task()
    comment = world.comment(task)
    world.comment(task, "stays")
    path = f"/{task}/comments/{comment}"
    answers = at_once([lambda: world.api("DELETE", path).status_code] * 8)
    assert set(answers) <= {204, 404}
    assert 204 in answers
    assert count(world, task) == 1


def test_a_full_discussion_takes_no_more(world: World) -> None:
    task = world.task()
    world.documents.commit([Update(f"tasks/{task}", {"commentCount": model.MOST_COMMENTS})])
    assert world.api("POST", f"/{task}/comments", {"text": "x"}).status_code == 409


def test_a_comment_on_a_task_that_goes_meanwhile_is_nowhere(documents: DocumentStore) -> None:
    world = World(documents)
    task = world.task()
    left = [1]

    def deleted(name: str, _: int) -> None:
        if name == "commit" and left:
            left.clear()
            world.api("DELETE", f"/{task}")

    late = World(WatchedDocuments(documents, deleted))
    assert late.api("POST", f"/{task}/comments", {"text": "x"}).status_code == 404
    assert documents.query("comments") == []


def test_an_answer_that_was_lost_is_given_again_under_its_key(documents: DocumentStore) -> None:
    world = World(documents)
    task = world.task()

    def lose(name: str, _: int) -> None:
        if name == "after commit":
            raise Unavailable

    key = {"Idempotency-Key": "k"}
    body = {"text": "x"}
    lost = World(WatchedDocuments(documents, lose))
    assert lost.api("POST", f"/{task}/comments", body, headers=key).status_code == 503
    assert world.api("POST", f"/{task}/comments", body, headers=key).status_code == 201
    assert (count(world, task), texts(world, task)) == (1, ["x"])
