"""A medium on a shared task is reached through that task, by its members, while it is on it."""

from __future__ import annotations

import pytest

from shared.documents import DocumentStore
from shared.ids import derived_id, new_id
from shared.media.gallery import Gallery
from shared.media.http import routes
from shared.media.store import MediaStore
from shared.media.trash import Trash
from shared.media.waiting import Waiting
from shared.tasks.carried import Carried
from shared.tasks.carrying import Carrying
from shared.tasks.store import TaskStore
from tests.fixtures.api import ADA, API, BOB, Links, refusal
from tests.fixtures.stores import Budget, WatchedDocuments
from tests.fixtures.stores import documents as documents
from tests.media.world import PHOTO, MediaWorld
from tests.tasks.world import World

EVE = derived_id("eve")
PATHS = ("", "/download", "/thumbnail")


class Shared(World):
    """Ada's task, which Bob edits and Eve views, with a picture of each who may write."""

    def __init__(self, documents: DocumentStore) -> None:
        super().__init__(documents)
        self.bytes = MediaWorld(documents)
        self.watched = WatchedDocuments(documents, Budget())
        store = MediaStore(self.watched)
        gallery = Gallery(
            store,
            Links(),
            renditions_bucket="renditions",
            media_bucket="media",
            uses=Carrying(self.watched),
            shares=Carried(TaskStore(self.watched)),
        )
        # No route of this module's tests starts an upload.
        self.media_api = API("media", routes(gallery, None, Trash(store, gallery), Waiting()))  # type: ignore[arg-type]
        self.id = self.task()
        self.share(self.id, BOB)
        self.share(self.id, EVE, "viewer")
        self.adas = self.bytes.upload(PHOTO, owner=ADA)
        self.bobs = self.bytes.upload(PHOTO, owner=BOB)
        self.attach(self.id, self.adas)
        self.attach(self.id, self.bobs, BOB)

    def status(self, medium: str, path: str, user: str, task: str | None = None) -> int:
        query = "" if task is None else f"?task={task}"
        return self.media_api("GET", f"/{medium}{path}{query}", user=user).status_code


@pytest.fixture
def world(documents: DocumentStore) -> Shared:
    return Shared(documents)


@pytest.mark.parametrize("path", PATHS)
def test_every_member_reaches_every_picture_of_the_task_and_nobody_else(
    world: Shared, path: str
) -> None:
    fine = 302 if path else 200
    for medium, owner in ((world.adas, ADA), (world.bobs, BOB)):
        for user in (ADA, BOB, EVE):
            assert world.status(medium, path, user, world.id) == fine
            assert world.status(medium, path, user) == (fine if user == owner else 404)
        assert world.status(medium, path, derived_id("stranger"), world.id) == 404


@pytest.mark.parametrize("path", PATHS)
def test_what_ends_a_share_ends_its_reach(world: Shared, path: str) -> None:
    world.api("DELETE", f"/{world.id}/members/{EVE}")
    assert world.status(world.adas, path, EVE, world.id) == 404
    world.api("DELETE", f"/{world.id}/detach-media/{world.bobs}")
    assert world.status(world.bobs, path, ADA, world.id) == 404
    world.api("DELETE", f"/{world.id}")
    assert world.status(world.adas, path, BOB, world.id) == 404


def test_a_task_is_no_key_to_what_it_does_not_carry(world: Shared) -> None:
    free = world.bytes.upload(PHOTO, owner=ADA)
    other = world.task(BOB)
    missing = world.media_api("GET", f"/{new_id()}?task={world.id}", user=BOB)
    for medium, task in (
        (free, world.id),
        (world.adas, other),
        (world.adas, new_id()),
        (world.adas, ".."),
        (world.adas, ""),
        ("..x", world.id),
    ):
        answer = world.media_api("GET", f"/{medium}?task={task}", user=BOB)
        assert refusal(answer) == refusal(missing)
        missing = world.media_api("GET", f"/{new_id()}?task={world.id}", user=BOB)


def test_on_how_many_other_tasks_it_is_only_its_owner_learns(world: Shared) -> None:
    for _ in range(2):
        world.attach(world.task(), world.adas)
    path = f"/{world.adas}?task={world.id}"
    counts = [world.media_api.read(path, user)["taskCount"] for user in (ADA, BOB, EVE)]
    assert counts == [3, 1, 1]
    assert world.media_api.read(f"/{world.adas}")["taskCount"] == 3


def test_a_trashed_picture_is_out_of_reach_and_nobody_changes_anothers(world: Shared) -> None:
    path = f"/{world.adas}?task={world.id}"
    assert world.media_api("DELETE", path, user=BOB).status_code in (404, 422)
    assert world.media_api("GET", path, user=BOB).status_code == 200
    assert world.media_api("DELETE", f"/{world.adas}").status_code == 204
    for part in PATHS:
        assert world.status(world.adas, part, BOB, world.id) == 404
