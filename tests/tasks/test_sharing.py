"""Sharing: who is a member sees, who is none sees nothing, from the acknowledgement on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared.documents import DocumentStore
from shared.ids import derived_id, new_id
from shared.tasks import model
from tests.fixtures.api import ADA, BOB, refusal
from tests.fixtures.stores import WatchedDocuments
from tests.tasks.test_task_races import at_once
from tests.tasks.world import World

EVE = derived_id("eve")


def invited(world: World, task: str, role: str = "editor", **headers: str) -> dict[str, Any]:
    made: dict[str, Any] = world.api.make(f"/{task}/invitations", {"role": role}, **headers)
    return made


def accept(world: World, token: str, user: str = BOB) -> Any:
    return world.api("POST", "/invitations/accept", {"token": token}, user=user)


def members(world: World, task: str, user: str = ADA) -> dict[str, str]:
    return {one["user"]: one["role"] for one in world.api.read(f"/{task}/members", user)["items"]}


def test_lists_are_of_own_of_shared_and_of_all_tasks(world: World) -> None:
    shared, kept, bobs = world.task(), world.task(), world.task(BOB)
    world.share(shared, BOB, "viewer")
    assert world.ids(user=BOB) == [bobs]
    assert world.ids("scope=shared", BOB) == [shared]
    assert world.ids("scope=all&direction=asc", BOB) == [shared, bobs]
    assert world.ids("scope=all&status=done", BOB) == []
    assert world.ids("scope=shared", ADA) == []
    assert world.ids("scope=all") == [kept, shared]
    world.api("DELETE", f"/{shared}/members/{BOB}")
    assert world.ids("scope=shared", BOB) == []
    assert world.ids("scope=all", BOB) == [bobs]


def test_a_task_says_whose_it_is_and_what_the_reader_is(world: World) -> None:
    task = world.task()
    world.share(task, BOB, "viewer")
    seen = world.api.read(f"/{task}", BOB)
    assert (seen["owner"], seen["role"]) == (ADA, "viewer")
    assert world.api.read("/?scope=shared", BOB)["items"] == [seen]
    world.share(task, BOB, "editor")
    assert world.api.read(f"/{task}", BOB)["role"] == "editor"
    assert members(world, task, BOB) == {ADA: "owner", BOB: "editor"}


def test_sharing_twice_changes_nothing_and_the_owner_is_no_member(world: World) -> None:
    task = world.task()
    world.share(task, BOB, "viewer")
    etag = world.api("GET", f"/{task}").headers["ETag"]
    world.share(task, BOB, "viewer")
    assert world.api("GET", f"/{task}").headers["ETag"] == etag
    path = f"/{task}/members"
    assert world.api("PUT", f"{path}/{ADA}", {"role": "viewer"}).status_code == 409
    for odd in ("..x", "x", "A" * 20, "a.b"):
        assert world.api("PUT", f"{path}/{odd}", {"role": "viewer"}).status_code == 404
    for role in ("owner", "", "admin", None):
        assert world.api("PUT", f"{path}/{EVE}", {"role": role}).status_code == 422
    assert world.api("DELETE", f"{path}/{EVE}").status_code == 404
    assert world.api("DELETE", f"{path}/{ADA}").status_code == 404
    assert members(world, task) == {ADA: "owner", BOB: "viewer"}


def test_members_have_a_limit(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr("shared.tasks.sharing.MOST_MEMBERS", 2)
    task = world.task()
    world.share(task, BOB)
    world.share(task, EVE)
    path = f"/{task}/members/{derived_id('one more')}"
    assert world.api("PUT", path, {"role": "viewer"}).status_code == 409
    world.share(task, BOB, "viewer")
    token = invited(world, task)["token"]
    assert accept(world, token, derived_id("one more")).status_code == 409
    world.api("DELETE", f"/{task}/members/{EVE}")
    assert accept(world, token, derived_id("one more")).status_code == 200
    assert model.MOST_MEMBERS > 2


WRITES: dict[str, Callable[[World, str, str, str], Any]] = {
    "change": lambda w, task, _, user: w.api("PATCH", f"/{task}", {"title": "x"}, user=user),
    "attach": lambda w, task, medium, user: w.api(
        "POST", f"/{task}/attach-media", {"mediaId": medium}, user=user
    ),
    "detach": lambda w, task, _, user: w.api(
        "DELETE", f"/{task}/detach-media/{w.carried}", user=user
    ),
    "comment": lambda w, task, _, user: w.api(
        "POST", f"/{task}/comments", {"text": "x"}, user=user
    ),
    "change a comment": lambda w, task, _, user: w.api(
        "PATCH", f"/{task}/comments/{w.written}", {"text": "x"}, user=user
    ),
    "delete a comment": lambda w, task, _, user: w.api(
        "DELETE", f"/{task}/comments/{w.written}", user=user
    ),
    "order": lambda w, task, _, user: w.api(
        "PUT", f"/{task}/media-order", {"mediaIds": [w.carried]}, user=user
    ),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_was_under_way_when_its_writer_was_removed_is_not_done(
    documents: DocumentStore, name: str
) -> None:
    """He was acknowledged to be no member before the write's commit."""
    world = World(documents)
    task, medium = world.task(), world.picture(BOB)
    world.share(task, BOB)
    carried, written = world.picture(), world.comment(task, user=BOB)
    world.attach(task, carried)
    left = [1]

    def removed(call: str, _: int) -> None:
        if call == "commit" and left:
            left.clear()
            assert world.api("DELETE", f"/{task}/members/{BOB}").status_code == 204

    late = World(WatchedDocuments(documents, removed))
    late.carried, late.written = carried, written  # type: ignore[attr-defined]
    before = world.api.read(f"/{task}/with-media")
    assert WRITES[name](late, task, medium, BOB).status_code == 404
    assert not left
    after = world.api.read(f"/{task}/with-media")
    for changing in ("updatedAt",):
        before.pop(changing)
        after.pop(changing)
    assert after == before
    comments = world.api.read(f"/{task}/comments")["items"]
    assert [one["text"] for one in comments] == ["Hm"]


def test_members_who_come_and_go_at_once_are_all_told_right(world: World) -> None:
    task = world.task()
    people = [derived_id(f"m{n}") for n in range(8)]
    for person in people[:4]:
        world.share(task, person, "viewer")

    def put(person: str) -> Callable[[], int]:
        body = {"role": "editor"}
        return lambda: world.api("PUT", f"/{task}/members/{person}", body).status_code

    def leave(person: str) -> Callable[[], int]:
        path = f"/{task}/members/{person}"
        return lambda: world.api("DELETE", path, user=person).status_code

    calls = [put(one) for one in people[4:]] + [leave(one) for one in people[:4]]
    assert at_once(calls) == [200] * 4 + [204] * 4
    assert members(world, task) == {ADA: "owner", **dict.fromkeys(people[4:], "editor")}


def test_pictures_of_all_members_are_shown_to_all(world: World) -> None:
    task, adas, bobs = world.task(), world.picture(), world.picture(BOB)
    world.share(task, BOB)
    world.share(task, EVE, "viewer")
    world.attach(task, adas)
    world.attach(task, bobs, BOB)
    assert world.attached(task) == world.attached(task, EVE) == [adas, bobs]
    # Each attaches own media only, and a removed one's pictures stay what they were.
    assert world.api("POST", f"/{task}/attach-media", {"mediaId": adas}, user=BOB).status_code in (
        200,
        404,
    )
    other = world.picture()
    refused = world.api("POST", f"/{task}/attach-media", {"mediaId": other}, user=BOB)
    assert refused.status_code == 404
    world.api("DELETE", f"/{task}/members/{BOB}")
    assert world.attached(task) == [adas, bobs]


def test_an_invitation_makes_one_member_once(world: World) -> None:
    task = world.task()
    made = invited(world, task)
    assert [one["id"] for one in world.api.read(f"/{task}/invitations")["items"]] == [made["id"]]
    joined = accept(world, made["token"])
    assert (joined.status_code, joined.get_json()["role"]) == (200, "editor")
    assert accept(world, made["token"]).status_code == 200
    assert accept(world, made["token"], EVE).status_code == 404
    assert world.api.read(f"/{task}/invitations")["items"] == []
    assert members(world, task) == {ADA: "owner", BOB: "editor"}
    # Who was removed does not come back by the same token.
    world.api("DELETE", f"/{task}/members/{BOB}")
    assert accept(world, made["token"]).status_code == 404


def test_a_token_stands_nowhere_in_the_store(world: World) -> None:
    task = world.task()
    identifier, _, secret = invited(world, task)["token"].partition(".")
    everything = [
        repr(doc.data)
        for name in ("tasks", "invitations", "outbox", "idempotency")
        for doc in world.documents.query(name)
    ]
    assert len(secret) >= 43
    assert not any(secret in one for one in everything)
    assert world.documents.get(f"invitations/{identifier}") is not None


def test_every_token_that_does_not_work_gets_one_answer(world: World) -> None:
    task, doomed = world.task(), world.task()
    used, revoked, gone = (invited(world, one) for one in (task, task, doomed))
    accept(world, used["token"], EVE)
    revoking = world.api("DELETE", f"/{task}/invitations/{revoked['id']}")
    assert revoking.status_code == 204
    assert world.api("DELETE", f"/{task}/invitations/{revoked['id']}").status_code == 404
    assert world.api("DELETE", f"/{task}/invitations/{used['id']}").status_code == 404
    world.api("DELETE", f"/{doomed}")
    late = invited(world, task)
    identifier, _, secret = invited(world, task)["token"].partition(".")
    wrong = [
        used["token"],
        revoked["token"],
        gone["token"],
        f"{new_id()}.{secret}",
        f"{identifier}.{secret[:-1]}",
        f"{identifier}.",
        f"{identifier}.é☃",
        identifier,
        "",
        "..",
        "a/b.c",
        late["token"].partition(".")[0] + "." + secret,
    ]
    answers = {refusal(accept(world, token)) for token in wrong}
    assert len(answers) == 1
    assert next(iter(answers))[0] == 404
    world.clock.now += timedelta(days=7)
    assert refusal(accept(world, late["token"])) in answers
    assert world.api.read(f"/{task}/invitations")["items"] == []


def test_of_many_who_send_one_token_at_once_one_becomes_a_member(world: World) -> None:
    task = world.task()
    token = invited(world, task)["token"]
    people = [derived_id(f"p{n}") for n in range(8)]
    answers = at_once([lambda p=p: accept(world, token, p).status_code for p in people])
    assert sorted(answers) == [200] + [404] * 7
    assert len(members(world, task)) == 2


def test_the_owner_takes_no_invitation_and_nobody_loses_by_one(world: World) -> None:
    task = world.task()
    token = invited(world, task, "viewer")["token"]
    assert accept(world, token, ADA).status_code == 409
    world.share(task, BOB, "editor")
    assert accept(world, token).get_json()["role"] == "editor"


def test_an_invitation_made_again_under_its_key_has_one_token_that_works(world: World) -> None:
    task = world.task()
    first = invited(world, task, Idempotency_Key="k")
    second = invited(world, task, Idempotency_Key="k")
    assert first["id"] == second["id"]
    assert accept(world, first["token"]).status_code == 404
    assert accept(world, second["token"]).status_code == 200
    again = world.api(
        "POST", f"/{task}/invitations", {"role": "editor"}, headers={"Idempotency-Key": "k"}
    )
    assert again.status_code == 409


def test_open_invitations_have_a_limit(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr("shared.tasks.sharing.MOST_INVITATIONS", 2)
    task = world.task()
    tokens = [invited(world, task)["token"] for _ in range(2)]
    refused = world.api("POST", f"/{task}/invitations", {"role": "viewer"})
    assert refused.status_code == 409
    accept(world, tokens[0])
    invited(world, task)
