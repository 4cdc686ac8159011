"""Firestore's reply to a request's commit is lost: the person's change happened exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures import stores
from tests.fixtures.firestore_proxy import Fault, FirestoreProxy, between
from tests.tasks.world import World

pytestmark = pytest.mark.emulated


@pytest.fixture
def proxy(firestore: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirestoreProxy]:
    with between(firestore) as proxy:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", proxy.address)
        yield proxy


@pytest.fixture
def world(proxy: FirestoreProxy) -> Iterator[World]:
    with stores.firestore_documents() as documents:
        yield World(documents)


CALLS: dict[str, tuple[str, str, Any, int]] = {
    "create": ("POST", "/", {"title": "new"}, 201),
    "change": ("PATCH", "/{task}", {"title": "new"}, 200),
    "attach": ("POST", "/{task}/attach-media", {"mediaId": "{free}"}, 200),
    "attach again": ("POST", "/{task}/attach-media", {"mediaId": "{picture}"}, 200),
    "detach": ("DELETE", "/{task}/detach-media/{picture}", None, 204),
    "delete": ("DELETE", "/{task}", None, 204),
}
FAULTS: list[tuple[Fault, ...]] = [("refuse",), ("lose",), ("late",), ("lose", "refuse"), ("hold",)]


@pytest.mark.parametrize("faults", FAULTS, ids="-".join)
@pytest.mark.parametrize("name", CALLS)
def test_an_acknowledged_request_happened_exactly_once(
    world: World, proxy: FirestoreProxy, name: str, faults: tuple[Fault, ...]
) -> None:
    method, path, body, status = CALLS[name]
    task, picture, free = world.task(), world.picture(), world.picture()
    world.attach(task, picture)
    names = {"task": task, "picture": picture, "free": free}
    filled = {key: value.format(**names) for key, value in (body or {}).items()}
    options = {} if body is None else {"body": filled}
    proxy.order("Commit", *faults)
    answer = world.api(method, path.format(**names), **options)
    assert answer.status_code == status
    proxy.settle()
    tasks = world.api.read("/")["items"]
    assert len(tasks) == {"create": 2, "delete": 0}.get(name, 1)
    if name == "create":
        assert [one["title"] for one in tasks] == ["new", "Buy milk"]
    if name == "change":
        assert tasks[0]["title"] == "new"
        assert answer.headers["ETag"] == world.api("GET", f"/{task}").headers["ETag"]
    expected = {"attach": [picture, free], "detach": []}.get(name, [picture])
    if name != "delete":
        assert (world.count(task), world.attached(task)) == (len(expected), expected)
    else:
        assert world.attachments() == set()


def test_a_request_under_its_key_sent_again_after_an_outage_is_one_task(
    world: World, proxy: FirestoreProxy
) -> None:
    """The function gave up, though the database had taken it; the client asks once more."""
    proxy.order("Commit", "lose", *["refuse"] * 40)
    key = {"Idempotency-Key": "k"}
    refused = world.api("POST", "/", {"title": "x"}, headers=key)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    proxy.heal()
    stores.await_recovery(world.documents)
    assert world.api("POST", "/", {"title": "x"}, headers=key).status_code == 201
    assert len(world.api.read("/")["items"]) == 1


def test_a_stale_write_is_still_stale_when_a_reply_is_lost(
    world: World, proxy: FirestoreProxy
) -> None:
    task = world.task()
    seen = {"If-Match": world.api("GET", f"/{task}").headers["ETag"]}
    world.api("PATCH", f"/{task}", {"title": "theirs"})
    proxy.order("Commit", "lose")
    refused = world.api("PATCH", f"/{task}", {"title": "mine"}, headers=seen)
    assert refused.status_code == 412
    assert world.api.read(f"/{task}")["title"] == "theirs"


def test_a_detach_whose_lost_reply_was_written_over_is_still_done(
    world: World, proxy: FirestoreProxy
) -> None:
    task, pictures = world.task(), [world.picture(), world.picture()]
    for picture in pictures:
        world.attach(task, picture)
    forward = proxy._forward

    def overtaken(*call: Any) -> Any:
        try:
            return forward(*call)
        finally:
            if call[4] == "lose":
                changed = world.api("PATCH", f"/{task}", {"title": "meanwhile"})
                assert changed.status_code == 200

    proxy._forward = overtaken  # type: ignore[method-assign]
    proxy.order("Commit", "lose")
    assert world.api("DELETE", f"/{task}/detach-media/{pictures[0]}").status_code == 204
    assert (world.count(task), world.attached(task)) == (1, [pictures[1]])
    assert world.api.read(f"/{task}")["title"] == "meanwhile"
