"""The matrix of shared/tasks/policy.py is about every route, and what no cell of it says holds.

tests/product/test_authorization.py tries each route by everybody there can be.
"""

from __future__ import annotations

from typing import Any

from shared.ids import derived_id
from shared.tasks.http import routes
from shared.tasks.policy import MATRIX, ROUTES
from tests.fixtures.api import ADA
from tests.tasks.world import World

EDITOR, VIEWER = derived_id("editor"), derived_id("viewer")
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
    invitation."""

    def __init__(self, documents: Any) -> None:
        super().__init__(documents)
        self.id = self.task()
        self.media = self.picture()
        self.attach(self.id, self.media)
        for person, role in ((EDITOR, "editor"), (VIEWER, "viewer")):
            self.share(self.id, person, role)
        self.comments_of = {person: self.comment(self.id, user=person) for person in (ADA, EDITOR)}
        self.guest = derived_id("guest")
        self.share(self.id, self.guest, "viewer")
        made = self.api.make(f"/{self.id}/invitations", {"role": "viewer"})
        self.invitation = made["id"]

    def send(self, route: tuple[str, str], user: str) -> Any:
        method, template = route
        own = self.picture(user) if "attach" in template else ""
        names = {
            "task_id": self.id,
            "media_id": self.media,
            "comment_id": self.comments_of[user],
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
