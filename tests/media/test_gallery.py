"""What a person sees of media that are there, and what is hidden from everybody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from shared.documents import DocumentStore, Update
from shared.ids import new_id
from shared.media.gallery import Gallery
from shared.media.http import routes
from shared.media.store import MediaStore
from shared.media.trash import Trash
from shared.media.waiting import Waiting
from tests.fixtures.api import ADA, API, BOB, Links, refusal
from tests.fixtures.stores import Budget, WatchedDocuments
from tests.fixtures.stores import documents as documents
from tests.media.world import NOON, PHOTO, MediaWorld


class World(MediaWorld):
    def __init__(self, documents: DocumentStore) -> None:
        super().__init__(documents)
        self.links = Links()
        self.budget = Budget()
        store = MediaStore(WatchedDocuments(documents, self.budget))
        self.gallery = Gallery(
            store, self.links, renditions_bucket="renditions", media_bucket="media"
        )
        # No route of this module's tests starts an upload.
        trash, waiting = Trash(store, self.gallery), Waiting()
        self.api = API("media", routes(self.gallery, None, trash, waiting))  # type: ignore[arg-type]

    def rejected(self) -> str:
        return self.upload(PHOTO[:-2])

    def ids(self, query: str = "", user: str = ADA) -> list[str]:
        return [one["id"] for one in self.api.read(f"/{query}", user)["items"]]


@pytest.fixture
def world(documents: DocumentStore) -> World:
    return World(documents)


def test_a_ready_medium_shows_its_size_and_signed_renditions(world: World) -> None:
    media_id = world.upload(PHOTO)
    medium = world.api.read(f"/{media_id}")
    assert (medium["state"], medium["reason"]) == ("ready", None)
    assert (medium["width"], medium["height"], medium["size"]) == (400, 300, len(PHOTO))
    assert [one["size"] for one in medium["renditions"]] == [320, 640, 1280]
    assert medium["thumbnailUrl"] == medium["renditions"][0]["url"]
    assert medium["renditions"][0]["url"].endswith("/320.webp")


def test_a_rejected_medium_says_why_and_cannot_be_read(world: World) -> None:
    media_id = world.rejected()
    medium = world.api.read(f"/{media_id}")
    assert (medium["state"], medium["reason"], medium["renditions"]) == (
        "rejected",
        "truncated",
        [],
    )
    for rest in ("download", "thumbnail"):
        assert world.api("GET", f"/{media_id}/{rest}").status_code == 409


def test_a_pending_medium_cannot_be_read_yet(world: World) -> None:
    media_id = world.announce(PHOTO)
    for rest in ("download", "thumbnail?size=640"):
        assert world.api("GET", f"/{media_id}/{rest}").status_code == 409


def test_download_and_thumbnail_lead_to_signed_urls(world: World) -> None:
    media_id = world.upload(PHOTO)
    download = world.api("GET", f"/{media_id}/download")
    assert download.status_code == 302
    assert download.headers["Location"].endswith("?as=image/jpeg")
    assert download.headers["Cache-Control"] == "no-store"
    for size in ("320", "640", "1280"):
        thumbnail = world.api("GET", f"/{media_id}/thumbnail?size={size}")
        assert thumbnail.headers["Location"].endswith(f"/{size}.webp")
    assert world.api("GET", f"/{media_id}/thumbnail?size=321").status_code == 422


# Lists


def test_a_list_is_the_newest_first_and_can_be_paged(world: World) -> None:
    made = [
        world.announce(PHOTO, createdAt=NOON + timedelta(microseconds=number))
        for number in range(7)
    ]
    seen: list[str] = []
    query = "?limit=3"
    while True:
        page = world.api.read(f"/{query}")
        seen += [one["id"] for one in page["items"]]
        if page["nextCursor"] is None:
            break
        # What comes meanwhile is newer, so it disturbs no later page.
        world.announce(PHOTO, createdAt=NOON + timedelta(hours=1))
        query = f"?limit=3&cursor={page['nextCursor']}"
    assert seen == made[::-1]


def test_a_list_can_be_of_one_state(world: World) -> None:
    ready, rejected, pending = world.upload(PHOTO), world.rejected(), world.announce(PHOTO)
    assert set(world.ids()) == {ready, rejected, pending}
    assert world.ids("?state=ready") == [ready]
    assert world.ids("?state=rejected") == [rejected]
    assert world.ids("?state=pending") == [pending]
    for state in ("deleted", "READY"):
        assert world.api("GET", f"/?state={state}").status_code == 422


def test_a_cursor_serves_its_own_list_only(world: World) -> None:
    for _ in range(3):
        world.announce(PHOTO)
        world.announce(PHOTO, owner=BOB)
    cursor = world.api.read("/?limit=1")["nextCursor"]
    assert world.api("GET", f"/?limit=1&cursor={cursor}").status_code == 200
    assert world.api("GET", f"/?limit=1&state=ready&cursor={cursor}").status_code == 422
    assert world.api("GET", f"/?limit=1&cursor={cursor}", user=BOB).status_code == 422


def test_nobody_sees_another_persons_media(world: World) -> None:
    media_id = world.upload(PHOTO)
    assert world.ids(user=BOB) == []
    missing = new_id()
    for method, rest in (
        ("GET", ""),
        ("GET", "/download"),
        ("GET", "/thumbnail"),
        ("DELETE", ""),
    ):
        theirs = refusal(world.api(method, f"/{media_id}{rest}", user=BOB))
        assert theirs == refusal(world.api(method, f"/{missing}{rest}", user=BOB))
        assert theirs[0] == 404
    assert refusal(world.api("DELETE", f"/uploads/{media_id}", user=BOB))[0] == 404
    assert world.medium(media_id).state == "ready"


@pytest.mark.parametrize("identifier", ["..", "__x__", "A" * 20, "a" * 19, "a" * 21, "%00", "ü"])
def test_what_cannot_be_an_id_is_missing_and_never_looked_up(world: World, identifier: str) -> None:
    for rest in ("", "/download", "/thumbnail"):
        assert world.api("GET", f"/{identifier}{rest}").status_code == 404
    assert world.budget.taken() == {}


# The trash


def test_what_was_thrown_away_is_answered_like_what_never_was(world: World) -> None:
    media_id = world.upload(PHOTO)
    assert world.api("DELETE", f"/{media_id}").status_code == 204
    for method, rest in (("GET", ""), ("GET", "/download"), ("DELETE", "")):
        gone = refusal(world.api(method, f"/{media_id}{rest}"))
        assert gone == refusal(world.api(method, f"/{new_id()}{rest}"))
    assert world.ids() == []
    assert world.medium(media_id).state == "trashed"
    # The bytes stay for the days of the trash.
    assert len(world.names("media")) == 1


@pytest.mark.parametrize("make", ["announce", "rejected"])
def test_what_was_never_ready_is_given_up_for_good(world: World, make: str) -> None:
    media_id = world.announce(PHOTO) if make == "announce" else world.rejected()
    assert world.api("DELETE", f"/{media_id}").status_code == 204
    assert world.medium(media_id).state == "deleted"


def test_throwing_away_is_told_once(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.api("DELETE", f"/{media_id}")
    world.api("DELETE", f"/{media_id}")
    world.outbox.sweep()
    told = ["snaptask.media.v1.arrived", "snaptask.media.v1.ready", "snaptask.media.v1.trashed"]
    assert world.told() == told


def test_a_race_with_the_pipeline_ends_in_the_trash(world: World) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    states: list[str] = []

    def interrupt(name: str, _: int) -> None:
        if name == "after get" and not states:
            states.append(world.medium(media_id).state)
            world.pipeline(event)

    store = MediaStore(WatchedDocuments(world.documents, interrupt))
    Gallery(store, Links(), renditions_bucket="renditions").delete(ADA, media_id)
    assert states == ["pending"]
    assert world.medium(media_id).state == "trashed"


# Budgets


@pytest.mark.parametrize(
    ("method", "path", "calls"),
    [
        ("GET", "/", {"query": 1}),
        ("GET", "/{id}", {"get": 1}),
        ("GET", "/{id}/download", {"get": 1}),
        ("GET", "/{id}/thumbnail", {"get": 1}),
        ("DELETE", "/{id}", {"get": 1, "commit": 1}),
    ],
)
def test_what_a_route_costs_in_reads_and_writes(
    world: World, method: str, path: str, calls: dict[str, int]
) -> None:
    media_id = world.upload(PHOTO)
    assert world.api(method, path.format(id=media_id)).status_code < 400
    assert world.budget.taken() == calls


def test_a_document_of_an_unknown_reason_is_still_shown(world: World) -> None:
    """A reason that a newer version wrote."""
    media_id = world.rejected()
    world.documents.commit([Update(f"media/{media_id}", {"reason": "haunted"})])
    shown: Any = world.api.read(f"/{media_id}")
    assert shown["reason"] == "haunted"
