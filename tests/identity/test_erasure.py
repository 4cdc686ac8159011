"""An account that its owner erases is closed at once and gone soon, wherever the job is killed."""

from __future__ import annotations

from typing import Any

import pytest

from shared.activity.audit import AuditTrail
from shared.documents import Create, DocumentStore, MemoryDocuments, Update
from shared.errors import Unavailable
from shared.events.model import Delivered
from shared.identity.departed import Departed
from shared.identity.erasure import Domain, Erasure, OwnedDocuments
from shared.tasks.erasure import TaskErasure
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.identity.world import PASSWORD, Between, World, json_of
from tests.tasks.world import World as Tasks

COLLECTIONS = ("users", "emails", "sessions", "links", "tasks", "audit", "tombstones", "mails")


def erase(world: World, tokens: dict[str, Any], password: str = PASSWORD) -> int:
    body = {"password": password}
    return world.call("DELETE", "/me", body, bearer=tokens["accessToken"]).status_code


def job(
    world: World, documents: DocumentStore | None = None, tasks: Domain | None = None
) -> Erasure:
    inner = documents or world.documents
    return Erasure(
        inner,
        [
            tasks or OwnedDocuments(inner, "tasks"),
            OwnedDocuments(inner, "sessions", "user"),
            OwnedDocuments(inner, "links", "user"),
            OwnedDocuments(inner, "audit"),
        ],
        world.clock,
        world.clock.ticks,
    )


def audited(world: World) -> None:
    """As if each event that was ever told came now, or once more."""
    trail = AuditTrail(world.documents, Departed(world.documents), world.clock)
    for event in world.documents.query("outbox", limit=500):
        trail.record(Delivered(event.id, str(event.data["type"]), event.data["data"], None))


def peopled(documents: DocumentStore, tasks: int = 450, whole: int = 0) -> tuple[World, str, str]:
    """Ada, who asked to be erased, and Bob, who did not; their ids. Of their tasks so many are
    `whole`, as the tasks function makes them."""
    world = World(documents)
    tokens = world.signed_in()
    world.register("bob@example.org")
    ids = []
    for one in (tokens, world.login("bob@example.org")):
        user = str(json_of(world.call("GET", "/me", bearer=one["accessToken"]))["id"])
        ids.append(user)
        for _ in range(whole):
            Tasks(documents).task(user)
        for start in range(0, tasks, 150):
            documents.commit(
                [
                    Create(f"tasks/{user}{number}", {"owner": user})
                    for number in range(start, start + 150)
                ]
            )
    world.post("/password-reset", email="ada@example.org")
    world.deliver_mails()
    audited(world)
    assert erase(world, tokens) == 202
    world.deliver_mails()
    world.clock.advance(minutes=2)
    return world, ids[0], ids[1]


def left(world: World) -> dict[str, set[str]]:
    """Ids by collection of whatever names somebody."""
    return {
        name: {str(one.data.get("owner") or one.data.get("user") or one.id) for one in found}
        for name in COLLECTIONS
        if (found := world.documents.query(name, limit=2000))
    }


def test_an_account_is_closed_the_moment_its_owner_asks(world: World) -> None:
    other, this = world.signed_in(), world.login()
    world.post("/password-reset", email="ada@example.org")
    reset = world.token("reset-password")
    assert erase(world, this) == 202
    for tokens in (other, this):
        assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
        assert world.refresh(tokens["refreshToken"]).status_code == 401
    assert world.post("/login", email="ada@example.org", password=PASSWORD).status_code == 401
    answer = world.post("/password-reset/confirm", token=reset, password="staple battery horse")
    assert answer.status_code == 422
    mails = world.deliver_mails()
    assert [mail.subject for mail in mails] == ["Your Snaptask account is being erased"]
    # Asked for again, no link leads back.
    world.post("/password-reset", email="ada@example.org")
    world.register()
    assert world.deliver_mails() == []


def test_only_who_knows_the_password_erases(world: World) -> None:
    tokens = world.signed_in()
    assert erase(world, tokens, "wrong horse") == 422
    assert world.call("DELETE", "/me", bearer=tokens["accessToken"]).status_code == 400
    assert world.call("DELETE", "/me", {"password": PASSWORD}).status_code == 401
    world.clock.advance(hours=1)
    assert job(world).run() == 0
    world.login()


def test_nothing_is_left_but_a_tombstone_and_a_record(documents: DocumentStore) -> None:
    # More than go in one part.
    world, ada, bob = peopled(documents, tasks=0, whole=60)
    assert job(world, tasks=TaskErasure(documents)).run() == 1
    audited(world)
    found = left(world)
    assert {name for name, ids in found.items() if ada in ids} == {"tombstones", "audit"}
    (record,) = documents.query("audit", where=[("owner", "==", ada)])
    assert record.data["type"] == "snaptask.identity.v1.account-erased"
    (tombstone,) = documents.query("tombstones")
    assert set(tombstone.data) == {"requestedAt", "erasedAt", "schemaVersion", "commitId"}
    # Bob is whole.
    assert bob in found["users"] & found["emails"] & found["sessions"] & found["tasks"]
    assert len(documents.query("tasks", where=[("owner", "==", bob)], limit=500)) == 60
    assert len(documents.query("audit", where=[("owner", "==", bob)], limit=500)) > 60
    stored = repr([documents.query(name, limit=500) for name in (*COLLECTIONS, "rateLimits")])
    assert "ada@" not in stored
    assert job(world).run() == 0


def test_a_mail_that_is_slow_leaves_no_record_of_who_left(world: World) -> None:
    """The farewell may leave after the account did, and its own event later still."""
    assert erase(world, world.signed_in()) == 202
    world.clock.advance(minutes=2)
    assert job(world).run() == 1
    world.deliver_mails()
    audited(world)
    owners = [one.data["owner"] for one in world.documents.query("audit", limit=500)]
    assert [owner for owner in owners if owner] == [world.documents.query("tombstones")[0].id]


def test_the_address_is_free_again_when_all_is_gone(world: World) -> None:
    tokens = world.signed_in()
    assert erase(world, tokens) == 202
    world.register(password="another password")
    world.clock.advance(minutes=2)
    assert job(world).run() == 1
    world.register(password="another password")
    world.login(password="another password")


def test_what_is_under_way_ends_before_anything_is_erased(world: World) -> None:
    assert erase(world, world.signed_in()) == 202
    assert job(world).run() == 0
    world.clock.advance(seconds=89)
    assert job(world).run() == 0
    world.clock.advance(seconds=1)
    assert job(world).run() == 1


class Killed(BaseException):
    """As a process that ends in the middle."""


def state(documents: DocumentStore) -> list[str]:
    names = [*COLLECTIONS, "outbox"]
    return sorted(one.path for name in names for one in documents.query(name, limit=2000))


@pytest.mark.proof
def test_killed_at_any_call_the_next_run_finishes_the_work() -> None:
    calls, kill_at = [0], [0]

    def watch(name: str, _: int) -> None:
        calls[0] += 1
        if calls[0] == kill_at[0]:
            raise Killed

    inner = memory_documents()
    world, ada, _ = peopled(inner)
    begun = dict(inner._documents)
    assert job(world, WatchedDocuments(inner, watch)).run() == 1
    total, golden = calls[0], state(inner)
    assert total > 20
    for nth in range(1, total + 1):
        inner._documents = dict(begun)
        calls[0], kill_at[0] = 0, nth
        with pytest.raises(Killed):
            job(world, WatchedDocuments(inner, watch)).run()
        job(world).run()
        assert state(inner) == golden, f"killed at call {nth}"
        assert ada not in repr(inner.query("users"))


class Stuck:
    def __init__(self, whom: str) -> None:
        self.whom = whom

    def erase_owner(self, owner: str) -> bool:
        if owner == self.whom:
            raise RuntimeError("a bug")
        return True


def test_an_account_that_cannot_be_erased_keeps_no_other_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    documents = memory_documents()
    world = World(documents)
    for name in ("ada", "bob"):
        world.register(f"{name}@example.org")
        assert erase(world, world.login(f"{name}@example.org")) == 202
        world.clock.advance(minutes=1)
    world.clock.advance(minutes=2)
    first = documents.query("users", order=[("erasingAt", "ASCENDING")])[0].id
    with pytest.raises(Unavailable):
        Erasure(documents, [Stuck(first)], world.clock, world.clock.ticks).run()
    assert [one.id for one in documents.query("users")] == [first]
    assert "waits for the next run" in caplog.text


class Slow:
    """A domain with much to do: each call takes half a minute."""

    def __init__(self, world: World, calls: int) -> None:
        self.world = world
        self.left = calls

    def erase_owner(self, owner: str) -> bool:
        self.world.clock.advance(seconds=30)
        self.left -= 1
        return self.left <= 0


def test_a_run_ends_in_time_and_the_next_goes_on() -> None:
    world, _, _ = peopled(memory_documents(), tasks=150)
    slow = Slow(world, 10)
    runs = 0
    while not Erasure(world.documents, [slow], world.clock, world.clock.ticks).run():
        runs += 1
        assert runs < 5
    assert (runs, slow.left) == (2, 0)


def test_a_user_changed_while_he_is_buried_is_buried_by_the_next_run() -> None:
    between = Between()
    inner: MemoryDocuments = memory_documents()
    world, ada, _ = peopled(inner, tasks=0)
    watched = WatchedDocuments(inner, between)
    late = OwnedDocuments(inner, "nothing")

    class Arm:
        def erase_owner(self, owner: str) -> bool:
            between.arm(lambda: inner.commit([Update(f"users/{ada}", {"touched": True})]))
            return late.erase_owner(owner)

    assert Erasure(watched, [Arm()], world.clock, world.clock.ticks).run() == 0
    assert inner.get(f"users/{ada}") is not None
    assert job(world).run() == 1
    assert inner.get(f"users/{ada}") is None
