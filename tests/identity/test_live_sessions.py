"""A write by a device that was signed out is refused everywhere, half a minute later at most."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Request, Response
from werkzeug.test import EnvironBuilder

from shared.documents import Delete, Update
from shared.errors import Unauthenticated, Unavailable
from shared.http import App, Principal, Reply, Routes
from shared.identity.live import REMEMBERED, LiveSessions
from shared.identity.tokens import TokenVerifier
from shared.ids import new_id
from tests.fixtures.stores import Budget, WatchedDocuments, memory_documents
from tests.identity.world import ISSUER, World, at_once, json_of


class Elsewhere:
    """Another function's process, which has the database and the public keys in common."""

    def __init__(self, world: World, documents: Any = None) -> None:
        self.written: list[str] = []
        routes = Routes(tag="elsewhere")

        @routes.get("/")
        def read(caller: Principal) -> None:
            """Read."""

        @routes.get("/link", live=True)
        def link(caller: Principal) -> Reply[None]:
            """A link that lives on."""
            return Reply(None)

        for method in ("POST", "PUT", "PATCH", "DELETE"):

            @routes.route(method, "/")
            def write(caller: Principal) -> None:
                """Write."""
                self.written.append(caller.session)

        self.sessions = LiveSessions(
            documents or world.documents, clock=world.clock, ticks=world.clock.ticks
        )
        verifier = TokenVerifier(world.signing, ISSUER, world.clock)
        self.app = App("elsewhere", routes, authenticator=verifier, sessions=self.sessions)

    def __call__(self, method: str, path: str, tokens: dict[str, Any]) -> Response:
        headers = {"Authorization": f"Bearer {tokens['accessToken']}"}
        environ = EnvironBuilder(path, method=method, headers=headers).get_environ()
        return self.app(Request(environ))


WRITES = ("POST", "PUT", "PATCH", "DELETE")


@pytest.fixture
def tokens(world: World) -> dict[str, Any]:
    return world.signed_in()


def sign_out(world: World, tokens: dict[str, Any]) -> None:
    assert world.post("/logout", refreshToken=tokens["refreshToken"]).status_code == 204


def test_signed_out_here_is_refused_elsewhere_half_a_minute_later(
    world: World, tokens: dict[str, Any]
) -> None:
    elsewhere = Elsewhere(world)
    assert {elsewhere(method, "/", tokens).status_code for method in WRITES} == {204}
    sign_out(world, tokens)
    world.clock.advance(seconds=REMEMBERED)
    for method, path in (
        *((method, "/") for method in WRITES),
        ("GET", "/link"),
        ("HEAD", "/link"),
    ):
        answer = elsewhere(method, path, tokens)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len(elsewhere.written) == 4
    # A plain read is let through for the token's ten minutes: it costs no look-up.
    assert elsewhere("GET", "/", tokens).status_code == 204


def test_a_process_that_never_saw_the_session_refuses_at_once(
    world: World, tokens: dict[str, Any]
) -> None:
    sign_out(world, tokens)
    assert Elsewhere(world)("POST", "/", tokens).status_code == 401


def test_asking_often_does_not_make_an_answer_last_longer(
    world: World, tokens: dict[str, Any]
) -> None:
    elsewhere = Elsewhere(world)
    assert elsewhere("POST", "/", tokens).status_code == 204
    sign_out(world, tokens)
    seen = []
    for _ in range(35):
        world.clock.advance(seconds=1)
        seen.append(elsewhere("POST", "/", tokens).status_code)
    assert seen == [204] * 29 + [401] * 6


def test_signed_out_everywhere_is_refused_elsewhere_too(
    world: World, tokens: dict[str, Any]
) -> None:
    elsewhere, other = Elsewhere(world), world.login()
    assert elsewhere("POST", "/", other).status_code == 204
    world.call("POST", "/logout-all", bearer=tokens["accessToken"])
    world.clock.advance(seconds=REMEMBERED)
    assert elsewhere("POST", "/", other).status_code == 401
    assert elsewhere("POST", "/", tokens).status_code == 401
    assert elsewhere("POST", "/", world.login()).status_code == 204


def test_a_session_without_its_user_is_refused(world: World, tokens: dict[str, Any]) -> None:
    me = json_of(world.call("GET", "/me", bearer=tokens["accessToken"]))["id"]
    world.documents.commit([Delete(f"users/{me}")])
    assert Elsewhere(world)("POST", "/", tokens).status_code == 401


def test_a_session_of_somebody_else_is_refused(world: World, tokens: dict[str, Any]) -> None:
    """No token of ours says so; if one ever did, it would be refused."""
    world.register("eve@example.org")
    eve = json_of(world.call("GET", "/me", bearer=world.login("eve@example.org")["accessToken"]))[
        "id"
    ]
    (session, *_) = world.documents.query("sessions")
    live = LiveSessions(world.documents, clock=world.clock, ticks=world.clock.ticks)
    owner = session.data["user"]
    live.check(Principal(owner, session.id))
    stranger = new_id() if owner == eve else eve
    with pytest.raises(Unauthenticated):
        live.check(Principal(stranger, session.id))


def test_an_outage_is_told_as_one_and_a_fresh_answer_bridges_it() -> None:
    world, broken = World(), []

    def watch(name: str, _: int) -> None:
        if broken:
            raise Unavailable

    tokens = world.signed_in()
    elsewhere = Elsewhere(world, WatchedDocuments(world.documents, watch))
    broken.append(True)
    answer = elsewhere("POST", "/", tokens)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert elsewhere("GET", "/", tokens).status_code == 204
    broken.clear()
    assert elsewhere("POST", "/", tokens).status_code == 204
    broken.append(True)
    world.clock.advance(seconds=REMEMBERED - 1)
    assert elsewhere("POST", "/", tokens).status_code == 204
    world.clock.advance(seconds=1)
    assert elsewhere("POST", "/", tokens).status_code == 503
    broken.clear()
    assert elsewhere("POST", "/", tokens).status_code == 204
    assert len(elsewhere.written) == 3


def test_a_hundred_writes_cost_one_look_up() -> None:
    budget, world = Budget(), World()
    tokens = world.signed_in()
    elsewhere = Elsewhere(world, WatchedDocuments(world.documents, budget))
    for _ in range(100):
        assert elsewhere("POST", "/", tokens).status_code == 204
    assert budget.taken() == {"get": 1}


def test_a_refusal_is_not_remembered() -> None:
    """So a restored backup, or a mended document, is not locked out by an old answer."""
    world = World()
    tokens = world.signed_in()
    (session,) = world.documents.query("sessions")
    elsewhere = Elsewhere(world)
    world.documents.commit([Update(session.path, {"revokedAt": world.clock.now})])
    assert elsewhere("POST", "/", tokens).status_code == 401
    world.documents.commit([Update(session.path, {"revokedAt": None})])
    assert elsewhere("POST", "/", tokens).status_code == 204


def test_an_answer_is_as_old_as_its_question() -> None:
    """A read that hangs brings news of the moment it was made, not of the one it came."""
    world = World()
    tokens = world.signed_in()

    def watch(name: str, _: int) -> None:
        if name == "after get":
            sign_out_once()
            world.clock.advance(seconds=20)

    def sign_out_once() -> None:
        world.post("/logout", refreshToken=tokens["refreshToken"])

    elsewhere = Elsewhere(world, WatchedDocuments(world.documents, watch))
    assert elsewhere("POST", "/", tokens).status_code == 204
    world.clock.advance(seconds=10)
    assert elsewhere("POST", "/", tokens).status_code == 401


def test_only_so_many_answers_are_remembered_the_latest_ones() -> None:
    world, budget = World(), Budget()
    world.register()
    callers = []
    for _ in range(5):
        session = world.login()["refreshToken"].partition(".")[0]
        document = world.documents.get(f"sessions/{session}")
        assert document is not None
        callers.append(Principal(document.data["user"], session))
    watched = WatchedDocuments(world.documents, budget)
    live = LiveSessions(watched, most=3, clock=world.clock, ticks=world.clock.ticks)
    for caller in callers:
        live.check(caller)
    assert len(live._good) == 3
    budget.taken()
    for caller in callers[2:]:
        live.check(caller)
    assert budget.taken() == {}
    live.check(callers[0])
    assert budget.taken() == {"get": 1}


def test_many_threads_may_ask_at_once() -> None:
    world = World()
    tokens = world.signed_in()
    elsewhere = Elsewhere(world)
    answers = at_once(16, lambda _: elsewhere("POST", "/", tokens).status_code)
    assert answers == [204] * 16
    sign_out(world, tokens)
    world.clock.advance(seconds=REMEMBERED)
    assert at_once(16, lambda _: elsewhere("POST", "/", tokens).status_code) == [401] * 16


def test_the_auth_function_asks_every_time() -> None:
    world = World(memory_documents())
    tokens = world.signed_in()
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 200
    sign_out(world, tokens)
    assert world.call("GET", "/me", bearer=tokens["accessToken"]).status_code == 401
