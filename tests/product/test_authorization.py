"""Who may do what: every operation of docs/openapi.json, by everybody there is.

What is not yours is answered like what does not exist, to the letter. Of a shared task there are
an editor, a viewer and one who was a member; they come to its pictures by naming the task.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest
from flask import Response

from shared.ids import derived_id
from tests.fixtures.product import Person, Product, Snapshot
from tests.product.operations import OPERATIONS, PICTURE, Scene, credentials, documented, send

NOBODYS = derived_id("nobody's")
PROTECTED = [name for name, operation in OPERATIONS.items() if operation.access != "public"]
_LIVE = ("/me", "/sessions", "/identities", "/download", "/thumbnail")
LIVE = [name for name in PROTECTED if not name.startswith("GET ") or name.endswith(_LIVE)]
NAMED = [name for name in PROTECTED if "{" in name]


ROLES = {"editor": "editor", "viewer": "viewer", "removed": "editor"}


@pytest.fixture(scope="module")
def stage() -> tuple[Scene, Snapshot]:
    scene = Scene(Product())
    return scene, scene.product.snapshot()


@dataclass(frozen=True)
class Cast:
    """Ada's task with its members, each of whom has a picture of their own, and a comment if they
    could ever write one."""

    scene: Scene
    people: dict[str, Person]
    pictures: dict[str, str]
    comments: dict[str, str]
    snapshot: Snapshot


@pytest.fixture(scope="module")
def shared() -> Cast:
    scene = Scene(Product())
    people = {name: scene.product.person(name) for name in ROLES}
    comments = {}
    for name, person in people.items():
        user = person.made("/api/auth/me", method="GET")["id"]
        place = f"/api/tasks/{scene.task}/members/{user}"
        scene.ada.made(place, {"role": ROLES[name]}, method="PUT")
        if ROLES[name] == "editor":
            made = person.made(f"/api/tasks/{scene.task}/comments", {"text": "Mine"})
            comments[name] = str(made["id"])
        if name == "removed":
            scene.ada.made(place, method="DELETE")
    pictures = {name: person.medium(PICTURE) for name, person in people.items()}
    return Cast(scene, people, pictures, comments, scene.product.snapshot())


@pytest.fixture
def cast(shared: Cast) -> Cast:
    shared.scene.product.restore(shared.snapshot)
    return shared


@pytest.fixture
def scene(stage: tuple[Scene, Snapshot]) -> Scene:
    made, before = stage
    made.product.restore(before)
    return made


def what(answer: Response) -> tuple[int, str, str]:
    """All of a refusal but the id of its request."""
    problem = answer.get_json(force=True)
    problem.pop("instance", None)
    headers = {name: value for name, value in answer.headers if name != "X-Request-Id"}
    return answer.status_code, json.dumps(problem), json.dumps(headers, sort_keys=True)


def test_every_documented_operation_has_a_row() -> None:
    assert set(OPERATIONS) == documented()


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_owner_may(scene: Scene, name: str) -> None:
    answer = send(scene, name)
    assert answer.status_code == OPERATIONS[name].status, answer.get_data()


@pytest.mark.parametrize("name", PROTECTED)
def test_nobody_gets_in_without_a_token(scene: Scene, name: str) -> None:
    before = scene.product.state(scene.known)
    answers = [send(scene, name, bearer=token) for token in (None, "x" * 40)]
    forged = scene.ada.tokens["accessToken"][:-4] + "AAAA"
    answers.append(send(scene, name, bearer=forged))
    assert [answer.status_code for answer in answers] == [401] * 3
    assert all("WWW-Authenticate" in answer.headers for answer in answers)
    assert scene.product.state(scene.known) == before


@pytest.mark.parametrize("name", NAMED)
def test_to_a_stranger_it_does_not_exist(scene: Scene, name: str) -> None:
    bob = scene.product.person("bob").tokens["accessToken"]
    before = scene.product.state(scene.known)
    refused = send(scene, name, bearer=bob)
    missing = send(
        scene,
        name,
        bearer=bob,
        task_id=NOBODYS,
        media_id=NOBODYS,
        session_id=NOBODYS,
        identity_id=NOBODYS,
    )
    assert refused.status_code == 404
    assert what(refused) == what(missing)
    assert scene.product.state(scene.known) == before


@pytest.mark.parametrize("name", [name for name in NAMED if OPERATIONS[name].access == "task"])
@pytest.mark.parametrize("who", ROLES)
def test_a_member_may_with_a_task_what_the_table_says(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, name: str, who: str
) -> None:
    scene, bearer = cast.scene, cast.people[who].tokens["accessToken"]
    # What is attached has to be the member's own, and so has a comment that is changed.
    monkeypatch.setattr(scene, "free", cast.pictures[who])
    monkeypatch.setattr(scene, "comment", cast.comments.get(who, scene.comment))
    before = scene.product.state(scene.known)
    answer = send(scene, name, bearer=bearer)
    if who in OPERATIONS[name].members:
        assert answer.status_code == OPERATIONS[name].status, answer.get_data()
        return
    if who == "removed":
        assert what(answer) == what(send(scene, name, bearer=bearer, task_id=NOBODYS))
    assert answer.status_code == (404 if who == "removed" else 403)
    assert scene.product.state(scene.known) == before


@pytest.mark.parametrize("name", [name for name in NAMED if OPERATIONS[name].access == "medium"])
@pytest.mark.parametrize("who", ROLES)
def test_a_member_comes_to_a_picture_by_its_task_and_in_no_other_way(
    cast: Cast, name: str, who: str
) -> None:
    scene, bearer = cast.scene, cast.people[who].tokens["accessToken"]
    before = scene.product.state(scene.known)

    def answer(medium: str, query: str) -> Response:
        return send(scene, name, bearer=bearer, query=query, media_id=medium)

    named = f"?task={scene.task}"
    ways = {(scene.picture, ""), (scene.picture, f"?task={scene.other}")}
    ways |= {(medium, named) for medium in (scene.free, scene.trashed, scene.pending)}
    if who in OPERATIONS[name].members:
        assert answer(scene.picture, named).status_code == OPERATIONS[name].status
    else:
        ways.add((scene.picture, named))
    for medium, query in ways:
        refused = answer(medium, query)
        # Where no task can be named, naming one is the mistake that is told.
        assert refused.status_code in ((404, 422) if query else (404,)), (medium, query)
        assert what(refused) == what(answer(NOBODYS, query))
    assert scene.product.state(scene.known) == before


@pytest.mark.parametrize("name", [name for name in PROTECTED if name not in NAMED])
def test_what_is_everybodys_own_shows_nothing_of_another(scene: Scene, name: str) -> None:
    bob = scene.product.person("bob").tokens["accessToken"]
    answer = send(scene, name, bearer=bob)
    assert answer.status_code == OPERATIONS[name].status
    text = answer.get_data(as_text=True) + str(answer.headers)
    assert [known for known in scene.known if known in text] == []


@pytest.mark.parametrize("name", LIVE)
def test_a_session_that_ended_gets_in_no_more(scene: Scene, name: str) -> None:
    """Its access token lives on for minutes, and reads of what a page shows may take it."""
    assert send(scene, "POST /api/auth/logout").status_code == 204
    before = scene.product.state(scene.known)
    assert send(scene, name).status_code == 401
    assert scene.product.state(scene.known) == before


@pytest.mark.parametrize("name", LIVE)
def test_a_deleted_account_gets_in_no_more(scene: Scene, name: str) -> None:
    assert send(scene, "DELETE /api/auth/me").status_code == 202
    before = scene.product.state(scene.known)
    assert send(scene, name).status_code == 401
    assert scene.product.state(scene.known) == before


def test_a_deleted_account_signs_in_no_more_and_cannot_be_told_from_none(scene: Scene) -> None:
    assert send(scene, "DELETE /api/auth/me").status_code == 202
    refused = send(scene, "POST /api/auth/login")
    nobody = scene.product.call("POST", "/api/auth/login", credentials("nobody"))
    assert refused.status_code == 401
    assert what(refused) == what(nobody)
    assert send(scene, "POST /api/auth/refresh").status_code == 401
