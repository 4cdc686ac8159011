"""Every change of a task stores its event in the same commit, and what changed nothing none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.documents import DocumentStore
from shared.errors import Unavailable
from tests.fixtures.api import ADA, BOB
from tests.fixtures.stores import WatchedDocuments
from tests.tasks.world import World


def told(documents: DocumentStore) -> list[tuple[str, dict[str, Any]]]:
    """Types and contents of what waits, in the order of their moments."""
    waiting = documents.query("outbox", order=[("createdAt", "ASCENDING")], limit=100)
    return [(doc.data["type"], json.loads(doc.data["data"])) for doc in waiting]


def test_a_life_of_a_task_is_told_step_by_step(world: World) -> None:
    task, picture = world.task(), world.picture()
    world.api("PATCH", f"/{task}", {"status": "done"})
    world.attach(task, picture)
    world.api("DELETE", f"/{task}/detach-media/{picture}")
    world.api("DELETE", f"/{task}")
    events = told(world.documents)
    prefix = "snaptask.tasks.v1."
    assert [kind.removeprefix(prefix) for kind, _ in events] == [
        "created",
        "changed",
        "media-attached",
        "media-detached",
        "deleted",
    ]
    assert {event["taskId"] for _, event in events} == {task}
    assert {event["owner"] for _, event in events} == {ADA}
    assert [event.get("mediaId") for _, event in events] == [None, None, picture, picture, None]
    assert len({event["id"] for _, event in events}) == 5


def test_what_changes_nothing_tells_nothing(world: World) -> None:
    task, picture = world.task(), world.picture()
    world.attach(task, picture)
    made = world.api.make("/", {"title": "x"}, Idempotency_Key="k")
    before = told(world.documents)
    world.attach(task, picture)
    assert world.api.make("/", {"title": "x"}, Idempotency_Key="k") == made
    for refused in (
        world.api("POST", "/", {"title": "y"}, headers={"Idempotency-Key": "k"}),
        world.api("PATCH", f"/{task}", {"title": "y"}, headers={"If-Match": '"stale"'}),
        world.api("PATCH", f"/{task}", {"title": "y"}, user=BOB),
        world.api("DELETE", f"/{task}", user=BOB),
        world.api("DELETE", f"/{task}/detach-media/{world.picture()}"),
    ):
        assert refused.status_code >= 400
    assert told(world.documents) == before


def test_a_change_that_was_not_stored_is_not_told(world: World) -> None:
    task = world.task()
    before = told(world.documents)

    def refuse(name: str, _: int) -> None:
        if name == "commit":
            raise Unavailable

    broken = World(WatchedDocuments(world.documents, refuse))
    for answer in (
        broken.api("POST", "/", {"title": "x"}),
        broken.api("PATCH", f"/{task}", {"title": "x"}),
        broken.api("DELETE", f"/{task}"),
    ):
        assert answer.status_code == 503
    assert told(world.documents) == before


@pytest.mark.parametrize("secret", ["title", "description"])
def test_no_event_carries_what_a_person_wrote(world: World, secret: str) -> None:
    world.task(**{secret: "my diagnosis"})
    ((_, event),) = told(world.documents)
    assert "diagnosis" not in json.dumps(event)
