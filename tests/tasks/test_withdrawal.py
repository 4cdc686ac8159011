"""A medium that nobody can have back leaves the tasks that carried it; one in the trash stays."""

from __future__ import annotations

from typing import Any

import pytest

from shared.documents import DocumentStore, Update
from shared.errors import MalformedRequest, NotFound, Unavailable
from shared.events.model import Delivered
from shared.ids import new_id
from shared.media.model import MediaDeleted, MediaErased, MediaTrashed
from shared.tasks import withdrawal
from shared.tasks.withdrawal import GONE, Withdrawal
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import WatchedDocuments
from tests.fixtures.stores import documents as documents
from tests.tasks.world import NOON, World


@pytest.fixture
def world(documents: DocumentStore) -> World:
    return World(documents)


def told(
    media_id: str, owner: str = ADA, kind: type[MediaErased | MediaTrashed] = MediaErased
) -> Delivered:
    event = kind(id=new_id(), occurred_at=NOON, owner=owner, media_id=media_id)
    return Delivered(event.id, event.type, event.model_dump_json(by_alias=True).encode(), None)


def test_the_events_are_those_that_media_publish() -> None:
    assert set(GONE) == {MediaErased.type, MediaDeleted.type}


def test_an_erased_picture_is_on_no_task_any_more_and_no_cover(world: World) -> None:
    picture, other = world.picture(), world.picture()
    first, second = world.task(), world.task()
    for task in (first, second):
        world.attach(task, picture)
        world.attach(task, other)
        world.api("PATCH", f"/{task}", {"cover": picture})
    event = told(picture)
    for _ in range(2):
        Withdrawal(world.documents).take(event)
        for task in (first, second):
            seen = world.api.read(f"/{task}")
            assert (seen["mediaCount"], seen["cover"]) == (1, None)
    assert world.attachments() == {f"{first}_{other}", f"{second}_{other}"}
    away = [one for one in world.publish() if one.get("mediaId") == picture]
    assert [one["actor"] for one in away if "actor" in one] == [ADA] * 4


def test_an_editors_picture_goes_from_the_task_of_another(world: World) -> None:
    task = world.task()
    world.share(task, BOB)
    picture = world.picture(BOB)
    world.attach(task, picture, BOB)
    Withdrawal(world.documents).take(told(picture, BOB))
    assert world.count(task) == 0
    last = world.publish()[-1]
    assert (last["owner"], last["actor"], last["mediaId"]) == (ADA, BOB, picture)


def test_what_is_in_the_trash_stays_on_its_tasks(world: World) -> None:
    task, picture = world.task(), world.picture()
    world.attach(task, picture)
    Withdrawal(world.documents).take(told(picture, kind=MediaTrashed))
    assert world.count(task) == 1


def test_more_tasks_than_one_look_shows_and_one_that_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawal, "_PAGE", 2)
    picture = world.picture()
    tasks = [world.task() for _ in range(5)]
    for task in tasks:
        world.attach(task, picture)
    world.store.delete([task := world.store.get(tasks[0])], [_deleted(tasks[0])])  # type: ignore[list-item]
    assert task is not None
    Withdrawal(world.documents).take(told(picture))
    assert world.attachments() == set()
    assert [world.count(task) for task in tasks[1:]] == [0] * 4


def _deleted(task: str) -> Any:
    from shared.tasks.events import TaskDeleted
    from tests.tasks.world import event

    return event(TaskDeleted, task)


@pytest.mark.parametrize("times", [1, 100])
def test_a_task_that_changes_meanwhile_is_looked_at_again(world: World, times: int) -> None:
    task, picture = world.task(), world.picture()
    world.attach(task, picture)
    world.api("PATCH", f"/{task}", {"cover": picture})
    left = times

    def meanwhile(name: str, _: int) -> None:
        nonlocal left
        if name == "commit" and left:
            left -= 1
            world.documents.commit([Update(f"tasks/{task}", {"touched": left})])

    watched = Withdrawal(WatchedDocuments(world.documents, meanwhile))
    if times == 1:
        watched.take(told(picture))
        assert world.count(task) == 0
    else:
        with pytest.raises(Unavailable):
            watched.take(told(picture))
        assert world.count(task) == 1


@pytest.mark.parametrize(
    "data", [b"[]", b"{}", b"{", b'{"owner":"a","mediaId":1}', b'{"owner":"a","mediaId":"../x"}']
)
def test_what_is_no_event_of_ours_is_refused(world: World, data: bytes) -> None:
    with pytest.raises((MalformedRequest, NotFound)):
        Withdrawal(world.documents).take(Delivered("x", GONE[0], data, None))
