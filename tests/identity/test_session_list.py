"""Where somebody is signed in, and ending that here, there and everywhere."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.activity.audit import AuditTrail
from shared.documents import AlreadyExists, Create, Delete, PreconditionFailed
from shared.events.model import Delivered
from shared.identity.departed import Departed
from shared.identity.devices import device_of
from shared.identity.sessions import IDLE, LISTED
from shared.ids import new_id
from tests.fixtures.api import refusal
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.identity.world import PASSWORD, Between, World, at_once, json_of

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


def listed(world: World, tokens: dict[str, Any]) -> list[dict[str, Any]]:
    answer = world.call("GET", "/sessions", bearer=tokens["accessToken"])
    assert answer.status_code == 200, answer.get_data()
    return list(json_of(answer)["items"])


def session_id(tokens: dict[str, Any]) -> str:
    identifier: str = tokens["refreshToken"].partition(".")[0]
    return identifier


def status(world: World, tokens: dict[str, Any]) -> tuple[int, int]:
    """Of a read that asks after the session, and of a refresh."""
    return (
        world.call("GET", "/me", bearer=tokens["accessToken"]).status_code,
        world.refresh(tokens["refreshToken"]).status_code,
    )


def login_from(world: World, agent: str) -> dict[str, Any]:
    body = {"email": "ada@example.org", "password": PASSWORD}
    answer = world.call("POST", "/login", body, headers={"User-Agent": agent})
    assert answer.status_code == 200
    return json_of(answer)


def test_the_list_says_which_devices_are_signed_in_and_which_one_asks(world: World) -> None:
    began = world.clock.now
    world.register()
    first = login_from(world, FIREFOX)
    world.clock.advance(minutes=1)
    second = login_from(world, "curl/8.5.0")
    world.clock.advance(minutes=1)
    first = json_of(world.refresh(first["refreshToken"]))
    assert listed(world, first) == [
        {
            "id": session_id(first),
            "createdAt": began.isoformat().replace("+00:00", "Z"),
            "lastUsedAt": world.clock.now.isoformat().replace("+00:00", "Z"),
            "device": "Firefox on Linux",
            "current": True,
        },
        {
            "id": session_id(second),
            "createdAt": (began + timedelta(minutes=1)).isoformat().replace("+00:00", "Z"),
            "lastUsedAt": (began + timedelta(minutes=1)).isoformat().replace("+00:00", "Z"),
            "device": "curl",
            "current": False,
        },
    ]
    assert [one["current"] for one in listed(world, second)] == [False, True]


def test_nothing_of_a_client_is_kept_but_the_name_of_its_device() -> None:
    world = World()
    world.register()
    headers = {
        "User-Agent": f"{FIREFOX} evil<script>",
        "X-Forwarded-For": "203.0.113.77",
        "Accept-Language": "tlh",
    }
    body = {"email": "ada@example.org", "password": PASSWORD}
    world.call("POST", "/login", body, headers=headers)
    kept = repr([world.documents.query(name) for name in ("sessions", "outbox", "users")])
    for piece in ("203.0.113", "evil", "rv:145", "tlh"):
        assert piece not in kept


def test_another_persons_sessions_are_neither_listed_nor_ended(world: World) -> None:
    mine = world.signed_in()
    world.register("eve@example.org")
    eves = world.login("eve@example.org")
    assert [one["id"] for one in listed(world, eves)] == [session_id(eves)]
    path = f"/sessions/{session_id(mine)}"
    theirs = world.call("DELETE", path, bearer=eves["accessToken"])
    missing = world.call("DELETE", f"/sessions/{'a' * 20}", bearer=eves["accessToken"])
    assert refusal(theirs) == refusal(missing)
    assert theirs.status_code == 404
    assert status(world, mine) == (200, 200)


@pytest.mark.parametrize("wrong", ["x", "..", "A" * 20, "a" * 21, "%00", "__x__"])
def test_what_is_no_session_id_is_not_found(wrong: str) -> None:
    world = World()
    tokens = world.signed_in()
    answer = world.call("DELETE", f"/sessions/{wrong}", bearer=tokens["accessToken"])
    assert answer.status_code == 404


def test_ending_another_device_leaves_this_one_and_can_be_done_twice(world: World) -> None:
    this = world.signed_in()
    other = world.login()
    for _ in range(2):
        path = f"/sessions/{session_id(other)}"
        assert world.call("DELETE", path, bearer=this["accessToken"]).status_code == 204
    assert status(world, other) == (401, 401)
    assert status(world, this) == (200, 200)
    assert [one["id"] for one in listed(world, this)] == [session_id(this)]
    assert [(one["session"], one["reason"]) for one in world.events("session-ended")] == [
        (session_id(other), "ended")
    ]


def test_a_device_can_end_itself_by_its_id(world: World) -> None:
    tokens = world.signed_in()
    path = f"/sessions/{session_id(tokens)}"
    assert world.call("DELETE", path, bearer=tokens["accessToken"]).status_code == 204
    assert world.call("DELETE", path, bearer=tokens["accessToken"]).status_code == 401


def test_signing_out_everywhere_is_one_write_and_ends_all_of_one_person(world: World) -> None:
    mine = [world.signed_in(), world.login(), world.login()]
    world.register("eve@example.org")
    eves = world.login("eve@example.org")
    answer = world.call("POST", "/logout-all", bearer=mine[1]["accessToken"])
    assert (answer.status_code, answer.get_data()) == (204, b"")
    assert [status(world, one) for one in mine] == [(401, 401)] * 3
    assert status(world, eves) == (200, 200)
    later = world.login()
    assert status(world, later) == (200, 200)
    assert [one["id"] for one in listed(world, later)] == [session_id(later)]
    (event,) = world.events("all-sessions-ended")
    assert event["epoch"] == 1


def test_a_second_time_everywhere_is_told_as_another_fact(world: World) -> None:
    world.register()
    for _ in range(2):
        tokens = world.login()
        assert world.call("POST", "/logout-all", bearer=tokens["accessToken"]).status_code == 204
    assert sorted(one["epoch"] for one in world.events("all-sessions-ended")) == [1, 2]


def test_many_who_sign_out_everywhere_at_once_all_succeed(world: World) -> None:
    devices = [world.signed_in(), *(world.login() for _ in range(7))]
    answers = at_once(
        8, lambda one: world.call("POST", "/logout-all", bearer=devices[one]["accessToken"])
    )
    # Whom another one was faster than is signed out already.
    assert {answer.status_code for answer in answers} <= {204, 401}
    assert [status(world, one) for one in devices] == [(401, 401)] * 8


@pytest.mark.parametrize("guard", [AlreadyExists, PreconditionFailed])
def test_who_signs_out_everywhere_second_succeeds_whichever_guard_the_store_tells(
    guard: type[Exception],
) -> None:
    between, documents = Between(), memory_documents()
    world = World(WatchedDocuments(documents, between))
    tokens = world.signed_in()

    def rival() -> None:
        world.call("POST", "/logout-all", bearer=tokens["accessToken"])
        raise guard("outbox")

    between.arm(rival)
    assert world.call("POST", "/logout-all", bearer=tokens["accessToken"]).status_code == 204
    assert status(world, tokens) == (401, 401)


def test_a_sign_in_under_way_while_all_sessions_end_opens_a_dead_one() -> None:
    """Who signs in with a password that is changed meanwhile, which ends all sessions, must not
    come in by it."""
    between, documents = Between(), memory_documents()
    world = World(WatchedDocuments(documents, between))
    owner = world.signed_in()
    between.arm(lambda: world.call("POST", "/logout-all", bearer=owner["accessToken"]))
    thief = world.login()
    assert status(world, thief) == (401, 401)


def test_the_sessions_of_somebody_who_is_no_more_are_dead(world: World) -> None:
    tokens = world.signed_in()
    me = json_of(world.call("GET", "/me", bearer=tokens["accessToken"]))["id"]
    world.documents.commit([Delete(f"users/{me}")])
    assert status(world, tokens) == (401, 401)
    for method, path in (("POST", "/logout-all"), ("GET", "/sessions")):
        assert world.call(method, path, bearer=tokens["accessToken"]).status_code == 401


def test_a_session_that_ended_by_itself_is_not_listed(world: World) -> None:
    world.register()
    world.login()
    world.clock.now += IDLE - timedelta(seconds=1)
    tokens = world.login()
    assert len(listed(world, tokens)) == 2
    world.clock.advance(seconds=1)
    assert [one["id"] for one in listed(world, tokens)] == [session_id(tokens)]


def test_a_list_is_one_page_of_the_sessions_used_last() -> None:
    world = World()
    tokens = world.signed_in()
    (session,) = world.documents.query("sessions")
    for number in range(LISTED + 20):
        older = {**session.data, "expireAt": session.data["expireAt"] - timedelta(number + 1) / 99}
        older.pop("commitId")
        world.documents.commit([Create(f"sessions/{new_id()}", older)])
    items = listed(world, tokens)
    assert len(items) == LISTED
    assert items[0]["id"] == session_id(tokens)


def test_a_stranger_sees_and_ends_nothing() -> None:
    world = World()
    tokens = world.signed_in()
    path = f"/sessions/{session_id(tokens)}"
    for method, where in (("GET", "/sessions"), ("POST", "/logout-all"), ("DELETE", path)):
        assert world.call(method, where).status_code == 401
        assert world.call(method, where, bearer="x").status_code == 401
    assert status(world, tokens) == (200, 200)


def test_signing_in_costs_few_round_trips_and_fewest_where_the_source_is_known() -> None:
    budget = Budget()
    world = World(WatchedDocuments(memory_documents(), budget))
    world.register()
    budget.taken()
    world.login()
    assert budget.taken() == {"count": 3, "get": 3, "commit": 1}
    tokens = world.login()
    assert budget.taken() == {"count": 2, "get": 3, "commit": 1}
    listed(world, tokens)
    # The session check, the user's epoch, the list.
    assert budget.taken() == {"get": 2, "query": 1}


def test_the_audit_takes_every_event_of_a_session(world: World) -> None:
    stolen = world.signed_in()["refreshToken"]
    successor = json_of(world.refresh(stolen))["refreshToken"]
    assert world.refresh(successor).status_code == 200
    assert world.refresh(stolen).status_code == 401
    world.call("POST", "/logout-all", bearer=world.login()["accessToken"])
    trail = AuditTrail(world.documents, Departed(world.documents), world.clock)
    for event in world.documents.query("outbox"):
        trail.record(Delivered(event.id, str(event.data["type"]), event.data["data"], None))
    records = [(one.data["type"], one.data["event"]) for one in world.documents.query("audit")]
    kinds = sorted(kind.removeprefix("snaptask.identity.v1.") for kind, _ in records)
    assert (
        kinds
        == ["all-sessions-ended", "mail-requested", "registered", "session-ended"]
        + ["session-started"] * 2
    )
    (ended,) = [event for kind, event in records if kind.endswith("session-ended")]
    assert (ended["reason"], ended["session"]) == ("reuse", stolen.partition(".")[0])
    assert stolen not in json.dumps([event for _, event in records])


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 "
            "(KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/142.0.0.0 Mobile Safari/537.36",
            "Chrome on Android",
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
            "Gecko) Version/26.0 Safari/605.1.15",
            "Safari on macOS",
        ),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("okhttp", "okhttp"),
        ("<script>alert(1)</script>", None),
        ("x" * 31, None),
        ("\x00", None),
        ("", None),
        (None, None),
    ],
)
def test_a_device_is_named_as_people_call_it(agent: str | None, device: str | None) -> None:
    assert device_of(agent) == device
