"""Many hands on one task: the count of its pictures stays what its attachments are."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.documents import DocumentStore, PreconditionFailed, Update
from shared.tasks.events import TaskDeleted
from shared.tasks.store import TaskStore
from tests.fixtures.api import ADA
from tests.fixtures.stores import WatchedDocuments
from tests.tasks.world import World, event


def at_once(calls: Sequence[Callable[[], int]]) -> list[int]:
    """All of them let go at one moment; their answers in order."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], int]) -> int:
        start.wait(30)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def attach(world: World, task: str, picture: str) -> Callable[[], int]:
    body = {"mediaId": picture}
    return lambda: world.api("POST", f"/{task}/attach-media", body).status_code


def detach(world: World, task: str, picture: str) -> Callable[[], int]:
    return lambda: world.api("DELETE", f"/{task}/detach-media/{picture}").status_code


def delete(world: World, task: str) -> Callable[[], int]:
    return lambda: world.api("DELETE", f"/{task}").status_code


def test_many_pictures_attached_at_once_all_count(world: World) -> None:
    task, pictures = world.task(), [world.picture() for _ in range(16)]
    assert at_once([attach(world, task, one) for one in pictures]) == [200] * 16
    assert world.count(task) == 16
    assert set(world.attached(task)) == set(pictures)


def test_one_picture_attached_many_times_at_once_counts_once(world: World) -> None:
    task, picture = world.task(), world.picture()
    assert at_once([attach(world, task, picture)] * 12) == [200] * 12
    assert (world.count(task), world.attached(task)) == (1, [picture])


def test_many_pictures_detached_at_once_all_go(world: World) -> None:
    task, pictures = world.task(), [world.picture() for _ in range(16)]
    for picture in pictures:
        world.attach(task, picture)
    assert at_once([detach(world, task, one) for one in pictures]) == [204] * 16
    assert (world.count(task), world.attachments()) == (0, set())


def test_one_picture_detached_many_times_at_once_counts_once(world: World) -> None:
    task, picture, stays = world.task(), world.picture(), world.picture()
    world.attach(task, picture)
    world.attach(task, stays)
    answers = at_once([detach(world, task, picture)] * 12)
    assert set(answers) <= {204, 404}
    assert 204 in answers
    assert (world.count(task), world.attached(task)) == (1, [stays])


@pytest.mark.parametrize("seed", range(3))
def test_attaching_and_detaching_at_once_keeps_the_count_right(world: World, seed: int) -> None:
    task, pictures = world.task(), [world.picture() for _ in range(4)]
    for picture in pictures[seed:]:
        world.attach(task, picture)
    calls = [attach(world, task, one) for one in pictures]
    calls += [detach(world, task, one) for one in pictures]
    for _ in range(3):
        assert set(at_once(calls * 2)) <= {200, 204, 404}
        assert world.count(task) == len(world.attached(task)) == len(world.attachments())


def test_a_task_deleted_while_pictures_come_and_go_leaves_nothing(world: World) -> None:
    for _ in range(5):
        task, pictures = world.task(), [world.picture() for _ in range(8)]
        for picture in pictures[:4]:
            world.attach(task, picture)
        calls = [detach(world, task, one) for one in pictures[:4]]
        calls += [attach(world, task, one) for one in pictures[4:]]
        answers = at_once([*calls, delete(world, task)])
        assert set(answers) <= {200, 204, 404}
        assert answers[-1] == 204
        assert world.api("GET", f"/{task}").status_code == 404
        assert world.attachments() == set()


def test_of_many_writers_who_saw_one_state_exactly_one_writes(world: World) -> None:
    task = world.task()
    seen = {"If-Match": world.api("GET", f"/{task}").headers["ETag"]}

    def write(title: str) -> Callable[[], int]:
        body = {"title": title}
        return lambda: world.api("PATCH", f"/{task}", body, headers=seen).status_code

    answers = at_once([write(f"title {n}") for n in range(10)])
    assert sorted(answers) == [200] + [412] * 9
    assert world.api.read(f"/{task}")["title"] == f"title {answers.index(200)}"


def test_one_key_sent_many_times_at_once_makes_one_task(world: World) -> None:
    key = {"Idempotency-Key": "k"}
    answers = at_once(
        [lambda: world.api("POST", "/", {"title": "x"}, headers=key).status_code] * 12
    )
    assert answers == [201] * 12
    assert len(world.api.read("/")["items"]) == 1


class Meddler:
    """Changes the task each time somebody is about to commit, `times` times."""

    def __init__(self, documents: DocumentStore, task: str, times: int) -> None:
        self._documents = documents
        self._task = task
        self.left = times

    def __call__(self, name: str, _: int) -> None:
        if name == "commit" and self.left > 0:
            self.left -= 1
            self._documents.commit([Update(f"tasks/{self._task}", {"description": "meddled"})])


@pytest.mark.parametrize("times", [1, 7])
def test_a_change_in_between_is_another_round_for_who_named_no_state(
    world: World, times: int
) -> None:
    task = world.task()
    meddled = World(WatchedDocuments(world.documents, Meddler(world.documents, task, times)))
    assert meddled.api("PATCH", f"/{task}", {"title": "mine"}).status_code == 200
    final = world.api.read(f"/{task}")
    assert (final["title"], final["description"]) == ("mine", "meddled")


def test_a_change_in_between_is_stale_for_who_named_the_state_he_saw(world: World) -> None:
    task = world.task()
    seen = {"If-Match": world.api("GET", f"/{task}").headers["ETag"]}
    meddled = World(WatchedDocuments(world.documents, Meddler(world.documents, task, 1)))
    refused = meddled.api("PATCH", f"/{task}", {"title": "mine"}, headers=seen)
    assert refused.status_code == 412
    assert world.api.read(f"/{task}")["title"] == "Buy milk"


def test_a_task_that_never_holds_still_is_unavailable_in_the_end(world: World) -> None:
    task = world.task()
    meddler = Meddler(world.documents, task, 10_000)
    meddled = World(WatchedDocuments(world.documents, meddler))
    refused = meddled.api("DELETE", f"/{task}")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert meddler.left > 9_900


def test_attaching_to_a_task_deleted_in_between_is_not_found_and_leaves_nothing(
    world: World,
) -> None:
    task, picture = world.task(), world.picture()

    def deleted(name: str, count: int) -> None:
        if name == "commit":
            world.service.delete(ADA, task, None)

    meddled = World(WatchedDocuments(world.documents, deleted))
    answer = meddled.api("POST", f"/{task}/attach-media", {"mediaId": picture})
    assert answer.status_code == 404
    assert world.attachments() == set()


def test_a_stale_task_is_not_deleted_with_attachments_it_did_not_know(world: World) -> None:
    store = TaskStore(world.documents)
    task = world.task()
    stale = store.get(task)
    assert stale is not None
    picture = world.picture()
    world.attach(task, picture)
    with pytest.raises(PreconditionFailed):
        store.delete([stale], [event(TaskDeleted, task)])
    assert world.attached(task) == [picture]
