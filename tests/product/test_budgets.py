"""What each operation may ask of the database: round trips, documents read, documents written.

Counted in new processes that have nothing in their memory yet, the check of the session included,
over lists of twenty. A list may read one more than it shows, to know that there is a next page.
That no operation asks again for each thing on a list is told by counting over short and long ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.fixtures.product import Product, Snapshot
from tests.product.operations import OPERATIONS, OTHER, PICTURE, Scene, send

LONG = 20


class Spent(NamedTuple):
    trips: int
    reads: int
    writes: int


BUDGETS: dict[str, Spent] = {
    # Limits reserve before the work and give back after it; a mail is wanted in a commit of its
    # own, for a known address too.
    "POST /api/auth/register": Spent(4, 0, 8),
    "POST /api/auth/verify-email": Spent(7, 3, 9),
    "POST /api/auth/password-reset": Spent(3, 0, 5),
    "POST /api/auth/password-reset/confirm": Spent(5, 2, 7),
    "POST /api/auth/email": Spent(7, 3, 7),
    "POST /api/auth/email/confirm": Spent(4, 2, 8),
    "POST /api/auth/password": Spent(5, 3, 7),
    "PATCH /api/auth/me": Spent(3, 3, 2),
    # Until it begins; then a page at a time, while it is sent.
    "POST /api/auth/export": Spent(4, 6, 1),
    "DELETE /api/auth/me": Spent(5, 3, 6),
    "POST /api/auth/login": Spent(6, 3, 7),
    "POST /api/auth/refresh": Spent(4, 2, 2),
    "POST /api/auth/logout": Spent(2, 1, 2),
    "POST /api/auth/logout-all": Spent(3, 3, 2),
    "GET /api/auth/providers": Spent(0, 0, 0),
    # A proof is a MAC and no document; one that is forged is not looked for.
    "POST /api/auth/provider/start": Spent(0, 0, 0),
    "POST /api/auth/provider": Spent(0, 0, 0),
    "GET /api/auth/identities": Spent(3, 4, 0),
    "POST /api/auth/identities/start": Spent(4, 3, 2),
    "POST /api/auth/identities": Spent(2, 3, 0),
    "DELETE /api/auth/identities/{identity_id}": Spent(6, 4, 8),
    "GET /api/auth/sessions": Spent(3, 5, 0),
    "DELETE /api/auth/sessions/{session_id}": Spent(3, 3, 2),
    "GET /api/auth/me": Spent(2, 3, 0),
    "GET /api/auth/.well-known/jwks.json": Spent(0, 0, 0),
    "GET /api/tasks": Spent(1, 21, 0),
    # Under a key one more write, which remembers the key. His tasks are counted once in half a
    # minute.
    "POST /api/tasks": Spent(3, 3, 3),
    "GET /api/tasks/{task_id}": Spent(1, 1, 0),
    "PATCH /api/tasks/{task_id}": Spent(3, 3, 2),
    # The task is gone in one commit; then what hung on it is looked up and erased in another.
    "DELETE /api/tasks/{task_id}": Spent(7, 26, 28),
    "PUT /api/tasks/{task_id}/position": Spent(3, 3, 2),
    "PUT /api/tasks/{task_id}/media-order": Spent(4, 24, 2),
    "GET /api/tasks/{task_id}/activity": Spent(2, 22, 0),
    "GET /api/tasks/{task_id}/comments": Spent(2, 22, 0),
    "POST /api/tasks/{task_id}/comments": Spent(3, 3, 4),
    "PATCH /api/tasks/{task_id}/comments/{comment_id}": Spent(4, 4, 2),
    "DELETE /api/tasks/{task_id}/comments/{comment_id}": Spent(4, 4, 3),
    "GET /api/tasks/{task_id}/members": Spent(1, 1, 0),
    "PUT /api/tasks/{task_id}/members/{user_id}": Spent(3, 3, 2),
    "DELETE /api/tasks/{task_id}/members/{user_id}": Spent(3, 3, 2),
    "GET /api/tasks/{task_id}/invitations": Spent(2, 2, 0),
    # The open ones are counted first.
    "POST /api/tasks/{task_id}/invitations": Spent(4, 4, 4),
    "DELETE /api/tasks/{task_id}/invitations/{invitation_id}": Spent(4, 4, 2),
    "POST /api/tasks/invitations/accept": Spent(4, 4, 3),
    "POST /api/tasks/bulk-delete": Spent(4, 4, 3),
    "POST /api/tasks/bulk-change": Spent(3, 3, 2),
    "POST /api/tasks/{task_id}/attach-media": Spent(5, 5, 3),
    "DELETE /api/tasks/{task_id}/detach-media/{media_id}": Spent(4, 4, 3),
    "GET /api/tasks/{task_id}/with-media": Spent(3, 43, 0),
    # With a key the usage is read before room is taken; without one it is two round trips.
    "POST /api/media/uploads": Spent(3, 4, 3),
    "POST /api/media/uploads/batch": Spent(3, 4, 3),
    "DELETE /api/media/uploads/{media_id}": Spent(3, 3, 2),
    "POST /api/media/upload": Spent(5, 6, 3),
    # One query tells for the whole page on how many tasks its media are.
    "GET /api/media": Spent(2, 41, 0),
    "GET /api/media/usage": Spent(1, 1, 0),
    "GET /api/media/{media_id}": Spent(2, 2, 0),
    "POST /api/media/{media_id}/restore": Spent(5, 5, 3),
    "POST /api/media/bulk-trash": Spent(3, 3, 3),
    "POST /api/media/bulk-restore": Spent(3, 3, 3),
    "DELETE /api/media/{media_id}": Spent(3, 3, 3),
    "GET /api/media/{media_id}/download": Spent(2, 3, 0),
    "GET /api/media/{media_id}/thumbnail": Spent(2, 3, 0),
}
"""Raise a number only together with the reason why the operation needs more."""


class Counted(Product):
    """Counts calls of the document store, as Firestore bills them: a query costs a read at least,
    a document that is missing too."""

    def __init__(self) -> None:
        self.spent = Spent(0, 0, 0)
        super().__init__()

    def seen(self, part: str, name: str, arguments: tuple[Any, ...], answer: Any) -> None:
        if part != "documents":
            return
        trips, reads, writes = self.spent
        if name == "get":
            reads += 1
        elif name == "get_all":
            reads += len(set(arguments[0]))
        elif name == "query":
            reads += max(1, len(answer))
        elif name == "number":
            reads += max(1, -(-answer // 1000))
        elif name in ("commit", "commit_counted", "count"):
            writes += len(arguments[0])
        else:
            writes += 1
        self.spent = Spent(trips + 1, reads, writes)


@pytest.fixture(scope="module")
def long() -> tuple[Scene, Snapshot]:
    return staged(LONG)


@pytest.fixture(scope="module")
def short() -> tuple[Scene, Snapshot]:
    return staged(2)


def staged(length: int) -> tuple[Scene, Snapshot]:
    """Ada's scene, with so many tasks, and so many pictures on the one task."""
    scene = Scene(Counted())
    for number in range(length):
        scene.ada.task(title=f"Task {number}")
        ticket = scene.ada.ticket(b"x" * (number + 1))
        scene.ada.made(f"/api/tasks/{scene.task}/attach-media", {"mediaId": ticket["mediaId"]})
    scene.product.settle()
    return scene, scene.product.snapshot()


def spent(stage: tuple[Scene, Snapshot], name: str) -> Spent:
    scene, before = stage
    product = scene.product
    assert isinstance(product, Counted)
    product.restore(before)
    product.spent = Spent(0, 0, 0)
    answer = send(scene, name, key="a key")
    assert answer.status_code == OPERATIONS[name].status, answer.get_data()
    return product.spent


def test_every_operation_has_a_budget() -> None:
    assert set(BUDGETS) == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_keeps_to_its_budget(long: tuple[Scene, Snapshot], name: str) -> None:
    seen, budget = spent(long, name), BUDGETS[name]
    assert all(a <= b for a, b in zip(seen, budget, strict=True)), f"{seen} over {budget}"


@pytest.mark.proof
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_long_list_takes_no_more_round_trips(
    long: tuple[Scene, Snapshot], short: tuple[Scene, Snapshot], name: str
) -> None:
    assert spent(long, name).trips == spent(short, name).trips


def test_an_upload_keeps_to_its_budget_from_its_announcement_to_the_last_event() -> None:
    """What docs/deploy.md reckons with. The sweeps of this one upload are in it; events reach all
    functions that listen, of which the cloud's filter leaves activity."""
    product = Counted()
    ada = product.person()
    ada.medium(PICTURE)
    product.spent = Spent(0, 0, 0)
    ada.medium(OTHER)
    assert product.spent == Spent(16, 9, 15)
