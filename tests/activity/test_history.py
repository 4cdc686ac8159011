"""A task's history: all that happened, told to its members, without a word that anyone wrote."""

from __future__ import annotations

import json

from shared.ids import derived_id
from tests.fixtures.api import ADA, BOB
from tests.tasks.world import World

EVE = derived_id("eve")


def kinds(world: World, task: str, user: str = ADA) -> list[str]:
    found, cursor = [], ""
    while True:
        page = world.api.read(f"/{task}/activity?limit=4{cursor}", user)
        found += [one["type"].removeprefix("snaptask.tasks.v1.") for one in page["items"]]
        if page["nextCursor"] is None:
            return found[::-1]
        cursor = f"&cursor={page['nextCursor']}"


def busy(world: World) -> str:
    task, picture = world.task(title="secret-title", description="secret-words"), world.picture()
    world.share(task, BOB)
    world.api("PATCH", f"/{task}", {"title": "secret-other", "labels": ["secret-label"]}, user=BOB)
    world.attach(task, picture)
    world.api("PATCH", f"/{task}", {"cover": picture})
    comment = world.comment(task, "secret-comment", BOB)
    world.api("PATCH", f"/{task}/comments/{comment}", {"text": "secret-text"}, user=BOB)
    world.api("DELETE", f"/{task}/comments/{comment}")
    world.api("DELETE", f"/{task}/detach-media/{picture}")
    token = world.api.make(f"/{task}/invitations", {"role": "viewer"})
    world.api("POST", "/invitations/accept", {"token": token["token"]}, user=EVE)
    made = world.api.make(f"/{task}/invitations", {"role": "viewer"})
    world.api("DELETE", f"/{task}/invitations/{made['id']}")
    world.api("DELETE", f"/{task}/members/{EVE}", user=EVE)
    return task


WHOLE = [
    "created",
    "member-set",
    "changed",
    "media-attached",
    "changed",
    "comment-added",
    "comment-changed",
    "comment-deleted",
    "media-detached",
    "invitation-made",
    "member-set",
    "invitation-made",
    "invitation-revoked",
    "member-removed",
]


def test_every_change_is_told_with_who_did_it_and_in_its_order(world: World) -> None:
    task, other = busy(world), world.task()
    assert kinds(world, task) == []
    world.publish()
    assert kinds(world, task) == kinds(world, task, BOB) == WHOLE
    assert kinds(world, other) == ["created"]
    items = world.api.read(f"/{task}/activity?limit=100")["items"][::-1]
    actors = [one["actor"] for one in items]
    assert actors[:3] == [ADA, ADA, BOB]
    assert actors[-1] == EVE
    assert items[2]["details"] == {"fields": ["labels", "title"]}
    assert items[1]["details"] == {"member": BOB, "role": "editor"}
    assert [one["occurredAt"] for one in items] == sorted(one["occurredAt"] for one in items)


def test_nothing_that_anyone_wrote_is_in_an_event_or_the_trail(world: World) -> None:
    task = busy(world)
    events = world.publish()
    assert len(events) == len(WHOLE)
    everything = json.dumps(events) + repr([one.data for one in world.documents.query("audit")])
    everything += json.dumps(world.api.read(f"/{task}/activity?limit=100"))
    assert "secret" not in everything
    assert {event["owner"] for event in events} == {ADA}


def test_history_is_for_members_and_pages_belong_to_their_task(world: World) -> None:
    task, other = busy(world), busy(world)
    world.publish()
    assert world.api("GET", f"/{task}/activity", user=EVE).status_code == 404
    cursor = world.api.read(f"/{task}/activity?limit=1")["nextCursor"]
    assert world.api("GET", f"/{other}/activity?cursor={cursor}").status_code == 422
    assert world.api("GET", f"/{task}/activity?cursor={cursor}", user=BOB).status_code == 422
    world.api("DELETE", f"/{task}")
    assert world.api("GET", f"/{task}/activity").status_code == 404
