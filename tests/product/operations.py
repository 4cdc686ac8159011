"""Every operation of the API once: how it is sent so that it succeeds, and who may.

One table for whoever has to go through all of them: authorization, budgets, crashes, lost
replies. A route without a row fails the test that compares it with docs/openapi.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from flask import Response

from shared.events.model import checked_traceparent
from shared.identity.id_tokens import Proved
from shared.identity.identities import written
from shared.ids import derived_id
from tests.fixtures import pictures
from tests.fixtures.product import PASSWORD, Person, Product, announced
from tools.openapi import DOCUMENT

PICTURE = pictures.saved(pictures.photo(60, 40), "JPEG")
OTHER = pictures.saved(pictures.photo(40, 60), "JPEG")
# Of our own: those of werkzeug's client are at times longer than RFC 2046 has them.
_BOUNDARY = "boundary"
_FORM = (
    f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=file; filename=holiday.jpg\r\n\r\n"
).encode() + (OTHER + f"\r\n--{_BOUNDARY}--\r\n".encode())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
assert checked_traceparent(TRACE)

Access = Literal["public", "own", "session", "identity", "task", "medium"]
"""`public`: no token. `own`: everybody signed in, about himself. `session`, `identity`, `task`,
`medium`: who has the one that the path names."""
READERS, WRITERS = ("editor", "viewer"), ("editor",)


class Scene:
    """Ada, signed in twice, with a task that carries a picture, a picture that is free, one in the
    trash, and an upload that has not arrived. `known` gives every id a name that is the same in
    each scene."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.ada = product.person("ada")
        self.task = self.ada.task()
        self.picture = self.ada.medium(PICTURE)
        self.free = self.ada.medium(OTHER)
        self.ada.made(f"/api/tasks/{self.task}/attach-media", {"mediaId": self.picture})
        self.other = self.ada.task(title="Water the roses")
        self.comment = str(self.ada.made(f"/api/tasks/{self.task}/comments", {"text": "Now"})["id"])
        made = self.ada.made(f"/api/tasks/{self.task}/invitations", {"role": "viewer"})
        self.invitation = str(made["id"])
        self.friend = derived_id("a friend")
        place = f"/api/tasks/{self.task}/members/{self.friend}"
        self.ada.made(place, {"role": "viewer"}, method="PUT")
        grace = product.person("grace")
        theirs = f"/api/tasks/{grace.task()}/invitations"
        self.token = str(grace.made(theirs, {"role": "editor"})["token"])
        self.pending = str(self.ada.ticket(PICTURE, fileName="late.jpg")["mediaId"])
        self.ada.made("/api/auth/password-reset", {"email": "ada@example.com"})
        self.ada.made("/api/auth/email", credentials("lovelace"))
        self.trashed = self.ada.medium(PICTURE)
        self.ada.made(f"/api/media/{self.trashed}", method="DELETE")
        self.user = str(self.ada.call("GET", "/api/auth/me").get_json()["id"])
        proved = Proved("https://id.example", "ada", None)
        product.documents.commit([written(proved, None, self.user, datetime.now(UTC))])
        self.identity = derived_id(proved.issuer, proved.subject)
        product.settle()
        self.confirm = product.mailed("verify-email")
        self.reset = product.mailed("reset-password")
        self.move = product.mailed("change-email")
        product.person("ada", register=False)
        sessions = self.ada.call("GET", "/api/auth/sessions").get_json()["items"]
        (self.session,) = (str(one["id"]) for one in sessions if not one["current"])

    def moved(self, product: Product) -> Scene:
        """The same in another product, whose database is empty."""
        product.restore(self.product.snapshot())
        scene = copy(self)
        scene.product, scene.ada = product, Person(product, "ada", self.ada.tokens)
        return scene

    @property
    def known(self) -> dict[str, str]:
        names = ("task", "picture", "free", "pending", "trashed", "user", "session")
        names = (*names, "comment", "invitation", "identity")
        return {str(getattr(self, name)): name.upper() for name in names}


@dataclass(frozen=True)
class Operation:
    access: Access
    status: int
    body: Callable[[Scene], Any] | None = None
    path: Mapping[str, str] = field(default_factory=dict)
    """Path parameters that are not the task or the picture: attributes of the scene."""
    members: tuple[str, ...] = ()
    """Who may besides the owner, of those with whom the task is shared; to a medium they come by
    naming the task."""
    keyed: bool = False
    """Takes an Idempotency-Key."""
    upload: bool = False
    """Its body is a multipart file."""
    writes: bool = True
    """Whether one that is no GET leaves anything behind."""
    repeats: tuple[str, ...] = ()
    """Collections in which it leaves a new document each time, and is meant to."""


def carried(scene: Scene) -> list[str]:
    """The pictures of the task, as they are stored: asking the API would be counted too."""
    start = f"attachments/{scene.task}_"
    return [path.removeprefix(start) for path in scene.product.stored() if path.startswith(start)]


def credentials(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.com", "password": PASSWORD}


OPERATIONS: dict[str, Operation] = {
    "POST /api/auth/register": Operation(
        "public", 202, lambda scene: credentials("bob"), repeats=("links",)
    ),
    "POST /api/auth/verify-email": Operation(
        "public", 204, lambda scene: {"token": scene.confirm, "password": PASSWORD}
    ),
    "POST /api/auth/password-reset": Operation(
        "public", 202, lambda scene: {"email": "ada@example.com"}, repeats=("links",)
    ),
    "POST /api/auth/password-reset/confirm": Operation(
        "public", 204, lambda scene: {"token": scene.reset, "password": "staple battery horse"}
    ),
    "POST /api/auth/email": Operation(
        "own", 202, lambda scene: credentials("king"), repeats=("links",)
    ),
    "POST /api/auth/email/confirm": Operation("public", 204, lambda scene: {"token": scene.move}),
    "POST /api/auth/password": Operation(
        "own",
        204,
        lambda scene: {"currentPassword": PASSWORD, "newPassword": "staple battery horse"},
    ),
    "PATCH /api/auth/me": Operation("own", 200, lambda scene: {"name": "Ada King"}),
    "POST /api/auth/export": Operation("own", 200),
    "DELETE /api/auth/me": Operation("own", 202, lambda scene: {"password": PASSWORD}),
    "POST /api/auth/login": Operation(
        "public", 200, lambda scene: credentials("ada"), repeats=("sessions",)
    ),
    "POST /api/auth/refresh": Operation(
        "public", 200, lambda scene: {"refreshToken": scene.ada.tokens["refreshToken"]}
    ),
    "POST /api/auth/logout": Operation(
        "public", 204, lambda scene: {"refreshToken": scene.ada.tokens["refreshToken"]}
    ),
    # The other issuer says nothing here; in tests/identity/test_sign_in.py and its neighbours it
    # does.
    "GET /api/auth/providers": Operation("public", 200),
    "POST /api/auth/provider/start": Operation("public", 200, writes=False),
    "POST /api/auth/provider": Operation("public", 401, lambda scene: {"code": "x", "proof": "x"}),
    "GET /api/auth/identities": Operation("own", 200),
    # Nobody here has confirmed the address, which linking needs.
    "POST /api/auth/identities/start": Operation("own", 409, lambda scene: {"password": PASSWORD}),
    "POST /api/auth/identities": Operation("own", 422, lambda scene: {"code": "x", "proof": "x"}),
    "DELETE /api/auth/identities/{identity_id}": Operation(
        "identity", 204, lambda scene: {"password": PASSWORD}
    ),
    "POST /api/auth/logout-all": Operation("own", 204),
    "GET /api/auth/sessions": Operation("own", 200),
    "DELETE /api/auth/sessions/{session_id}": Operation("session", 204),
    "GET /api/auth/me": Operation("own", 200),
    "GET /api/auth/.well-known/jwks.json": Operation("public", 200),
    "GET /api/tasks": Operation("own", 200),
    "POST /api/tasks": Operation("own", 201, lambda scene: {"title": "Buy milk"}, keyed=True),
    "GET /api/tasks/{task_id}": Operation("task", 200, members=READERS),
    "PATCH /api/tasks/{task_id}": Operation(
        "task", 200, lambda scene: {"title": "Paint it red"}, members=WRITERS
    ),
    "DELETE /api/tasks/{task_id}": Operation("task", 204),
    "POST /api/tasks/{task_id}/attach-media": Operation(
        "task", 200, lambda scene: {"mediaId": scene.free}, members=WRITERS
    ),
    "DELETE /api/tasks/{task_id}/detach-media/{media_id}": Operation("task", 204, members=WRITERS),
    "GET /api/tasks/{task_id}/with-media": Operation("task", 200, members=READERS),
    "PUT /api/tasks/{task_id}/position": Operation("task", 200, lambda scene: {"to": "last"}),
    "PUT /api/tasks/{task_id}/media-order": Operation(
        "task", 200, lambda scene: {"mediaIds": carried(scene)}, members=WRITERS
    ),
    "GET /api/tasks/{task_id}/activity": Operation("task", 200, members=READERS),
    "GET /api/tasks/{task_id}/comments": Operation("task", 200, members=READERS),
    "POST /api/tasks/{task_id}/comments": Operation(
        "task", 201, lambda scene: {"text": "Soon"}, keyed=True, members=WRITERS
    ),
    "PATCH /api/tasks/{task_id}/comments/{comment_id}": Operation(
        "task", 200, lambda scene: {"text": "Later"}, members=WRITERS
    ),
    "DELETE /api/tasks/{task_id}/comments/{comment_id}": Operation("task", 204, members=WRITERS),
    "GET /api/tasks/{task_id}/members": Operation("task", 200, members=READERS),
    "PUT /api/tasks/{task_id}/members/{user_id}": Operation(
        "task", 200, lambda scene: {"role": "editor"}
    ),
    "DELETE /api/tasks/{task_id}/members/{user_id}": Operation("task", 204),
    "GET /api/tasks/{task_id}/invitations": Operation("task", 200),
    "POST /api/tasks/{task_id}/invitations": Operation(
        "task", 201, lambda scene: {"role": "editor"}, keyed=True
    ),
    "DELETE /api/tasks/{task_id}/invitations/{invitation_id}": Operation("task", 204),
    "POST /api/tasks/invitations/accept": Operation(
        "own", 200, lambda scene: {"token": scene.token}
    ),
    "POST /api/tasks/bulk-delete": Operation("own", 200, lambda scene: {"ids": [scene.other]}),
    "POST /api/tasks/bulk-change": Operation(
        "own", 200, lambda scene: {"ids": [scene.other], "status": "done"}
    ),
    "POST /api/media/uploads": Operation("own", 201, lambda scene: announced(OTHER), keyed=True),
    "POST /api/media/uploads/batch": Operation(
        "own", 200, lambda scene: {"files": [announced(OTHER)]}, keyed=True
    ),
    "DELETE /api/media/uploads/{media_id}": Operation("medium", 204, path={"media_id": "pending"}),
    "POST /api/media/upload": Operation("own", 201, keyed=True, upload=True),
    "GET /api/media": Operation("own", 200),
    "GET /api/media/usage": Operation("own", 200),
    "POST /api/media/{media_id}/restore": Operation("medium", 200, path={"media_id": "trashed"}),
    "POST /api/media/bulk-trash": Operation("own", 200, lambda scene: {"mediaIds": [scene.free]}),
    "POST /api/media/bulk-restore": Operation(
        "own", 200, lambda scene: {"mediaIds": [scene.trashed]}
    ),
    "GET /api/media/{media_id}": Operation("medium", 200, members=READERS),
    "DELETE /api/media/{media_id}": Operation("medium", 204, path={"media_id": "free"}),
    "GET /api/media/{media_id}/download": Operation("medium", 302, members=READERS),
    "GET /api/media/{media_id}/thumbnail": Operation("medium", 302, members=READERS),
}
WRITES = tuple(
    name
    for name, operation in OPERATIONS.items()
    if not name.startswith("GET ") and operation.status < 400 and operation.writes
)


def documented() -> set[str]:
    paths = json.loads(DOCUMENT.read_text())["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def send(
    scene: Scene,
    name: str,
    bearer: str | None = "",
    key: str = "",
    query: str = "",
    **other: str,
) -> Response:
    """The row's request, by Ada unless `bearer` is another's or None. `other` replaces path
    parameters."""
    operation = OPERATIONS[name]
    method, _, template = name.partition(" ")
    parameters = {
        "task_id": scene.task,
        "media_id": scene.picture,
        "session_id": scene.session,
        "identity_id": scene.identity,
        "comment_id": scene.comment,
        "invitation_id": scene.invitation,
        "user_id": scene.friend,
    }
    parameters |= {key: str(getattr(scene, value)) for key, value in operation.path.items()}
    path = template.format(**(parameters | other)) + query
    headers = {"traceparent": TRACE} if "/media/upload" in path else {}
    if operation.keyed and key:
        headers["Idempotency-Key"] = key
    token = scene.ada.tokens["accessToken"] if bearer == "" else bearer
    if operation.access == "public":
        token = None
    options: dict[str, Any] = {}
    if operation.upload:
        options = {"data": _FORM, "content_type": f"multipart/form-data; boundary={_BOUNDARY}"}
    body = operation.body(scene) if operation.body else None
    return scene.product.call(method, path, body, bearer=token, headers=headers, **options)


__all__ = ["OPERATIONS", "WRITES", "Operation", "Person", "Scene", "documented", "send"]
