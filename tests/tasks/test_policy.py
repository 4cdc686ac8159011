"""Every route of a task, by everybody there can be: the matrix of shared/tasks/policy.py holds."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ids import derived_id, new_id
from shared.tasks.http import routes
from shared.tasks.policy import MATRIX, ROUTES, may
from tests.fixtures.api import ADA, refusal
from tests.tasks.world import World

EDITOR, VIEWER = derived_id("editor"), derived_id("viewer")
STRANGER, REMOVED = derived_id("stranger"), derived_id("removed")
PEOPLE = {
    "owner": ADA,
    "editor": EDITOR,
    "viewer": VIEWER,
    "stranger": STRANGER,
    "removed": REMOVED,
    "anonymous": "nobody",
}
BODIES: dict[tuple[str, str], Any] = {
    ("PATCH", "/<task_id>"): {"title": "Changed"},
    ("PUT", "/<task_id>/position"): {"to": "last"},
    ("POST", "/<task_id>/attach-media"): {"mediaId": "{own}"},
    ("PUT", "/<task_id>/media-order"): {"mediaIds": ["{media}"]},
    ("POST", "/<task_id>/comments"): {"text": "Hm"},
    ("PATCH", "/<task_id>/comments/<comment_id>"): {"text": "Hm, no"},
    ("PUT", "/<task_id>/members/<user_id>"): {"role": "editor"},
    ("POST", "/<task_id>/invitations"): {"role": "viewer"},
}
OF_A_TASK = [
    (route.method, route.template)
    for route in routes(None, None, None, None)  # type: ignore[arg-type]
    if "<task_id>" in route.template
]


class Scene(World):
    """A task with a picture, a comment of each who may write, a member to remove and an open
    invitation; one person was a member and is no more."""

    def __init__(self, documents: Any) -> None:
        super().__init__(documents)
        self.id = self.task()
        self.media = self.picture()
        self.attach(self.id, self.media)
        for person, role in ((EDITOR, "editor"), (VIEWER, "viewer"), (REMOVED, "editor")):
            self.share(self.id, person, role)
        self.comments_of = {
            person: self.comment(self.id, user=person) for person in (ADA, EDITOR, REMOVED)
        }
        self.api("DELETE", f"/{self.id}/members/{REMOVED}")
        self.guest = derived_id("guest")
        self.share(self.id, self.guest, "viewer")
        made = self.api.make(f"/{self.id}/invitations", {"role": "viewer"})
        self.invitation = made["id"]

    def send(self, route: tuple[str, str], user: str, task: str | None = None) -> Any:
        method, template = route
        own = self.picture(user) if "attach" in template and user != "nobody" else new_id()
        names = {
            "task_id": task or self.id,
            "media_id": self.media,
            "comment_id": self.comments_of.get(user, self.comments_of[ADA]),
            "user_id": self.guest,
            "invitation_id": self.invitation,
        }
        path = template
        for name, value in names.items():
            path = path.replace(f"<{name}>", value)
        filled = _filled(BODIES.get(route), {"{own}": own, "{media}": self.media})
        options = {} if filled is None else {"body": filled}
        return self.api(method, path, user=user, **options)


def _filled(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, names) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(one, names) for one in body]
    return names.get(body, body)


def test_every_route_of_a_task_is_in_the_matrix_and_no_other() -> None:
    assert set(ROUTES) == set(OF_A_TASK)
    assert set(ROUTES.values()) <= set(MATRIX)
    # The one action that no route names is asked inside another one.
    assert set(MATRIX) - set(ROUTES.values()) == {"moderate"}


@pytest.mark.proof
@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("route", OF_A_TASK, ids=" ".join)
def test_a_route_is_open_to_exactly_whom_the_matrix_names(
    documents: Any, route: tuple[str, str], who: str
) -> None:
    scene = Scene(documents)
    if route[1].endswith("/members/<user_id>") and route[0] == "DELETE" and who in PEOPLE:
        # Removing another takes more than leaving does.
        expected = 204 if who == "owner" else 403
    else:
        role: Any = who if who in ("owner", "editor", "viewer") else None
        expected = 200 if may(role, ROUTES[route]) else 403
    before = stored(scene)
    answer = scene.send(route, PEOPLE[who])
    if who == "anonymous":
        assert answer.status_code == 401
    elif who in ("stranger", "removed"):
        assert answer.status_code == 404
        assert refusal(answer) == refusal(scene.send(route, PEOPLE[who], task=new_id()))
    elif expected == 403:
        assert answer.status_code == 403
    else:
        assert answer.status_code in (200, 201, 204), answer.get_data()
    if answer.status_code >= 400:
        assert stored(scene) == before


def stored(scene: Scene) -> Any:
    collections = ("tasks", "attachments", "comments", "invitations", "outbox", "deletedTasks")
    return {
        doc.path: doc.commit_id
        for name in collections
        for doc in scene.documents.query(name, limit=500)
    }


def test_everybody_may_leave(documents: Any) -> None:
    scene = Scene(documents)
    for person in (EDITOR, VIEWER):
        assert scene.api("DELETE", f"/{scene.id}/members/{person}", user=person).status_code == 204
        assert scene.api("GET", f"/{scene.id}", user=person).status_code == 404
        assert scene.api("DELETE", f"/{scene.id}/members/{person}", user=person).status_code == 404


def test_nobody_but_its_author_changes_a_comment_and_the_owner_deletes_any(documents: Any) -> None:
    scene = Scene(documents)
    theirs, owners = scene.comments_of[EDITOR], scene.comments_of[ADA]
    path = f"/{scene.id}/comments"
    assert scene.api("PATCH", f"{path}/{theirs}", {"text": "x"}).status_code == 403
    assert scene.api("PATCH", f"{path}/{owners}", {"text": "x"}, user=EDITOR).status_code == 403
    assert scene.api("DELETE", f"{path}/{owners}", user=EDITOR).status_code == 403
    assert scene.api("DELETE", f"{path}/{theirs}").status_code == 204


def test_an_editor_who_becomes_a_viewer_writes_no_more(documents: Any) -> None:
    scene = Scene(documents)
    scene.share(scene.id, EDITOR, "viewer")
    for route in OF_A_TASK:
        if route[0] == "GET" and ROUTES[route] == "read":
            continue
        assert scene.send(route, EDITOR).status_code == 403, route
