"""Thirty days in the trash, what comes back from it, and what is left after it: nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.documents import DocumentStore, PreconditionFailed
from shared.errors import ProductError, Unavailable
from shared.ids import new_id
from shared.media.expiry import UploadExpiry
from shared.media.gallery import Gallery
from shared.media.http import routes
from shared.media.retention import Retention
from shared.media.store import MediaStore
from shared.media.trash import Trash
from shared.media.waiting import Waiting
from tests.fixtures import pictures
from tests.fixtures.api import ADA, API, BOB, Links, refusal
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.fixtures.stores import documents as documents
from tests.media.world import BUCKETS, NOON, Crash, FailAt, MediaWorld, WatchedObjects, outage

# Small, because it is rendered often.
PHOTO = pictures.saved(pictures.photo(40, 30), "JPEG")
OTHER = pictures.saved(pictures.photo(30, 40), "JPEG")
MONTH = timedelta(days=30, seconds=1)


class Tasks:
    """Which media tasks carry: by task."""

    def __init__(self) -> None:
        self.carried: dict[str, list[str]] = {}

    def counts(self, media_ids: Sequence[str]) -> Mapping[str, int]:
        return {one: sum(one in carried for carried in self.carried.values()) for one in media_ids}

    def media_of(self, owner: str, task_id: str) -> Sequence[str]:
        return self.carried.get(task_id, []) if owner == ADA else []


class World(MediaWorld):
    def __init__(self, documents: DocumentStore) -> None:
        super().__init__(documents)
        self.now = NOON
        self.tasks = Tasks()
        watched = MediaStore(WatchedDocuments(documents, lambda name, _: self.watch(name)))
        gallery = Gallery(
            watched,
            Links(),
            renditions_bucket="renditions",
            media_bucket="media",
            uses=self.tasks,
            clock=lambda: self.now,
        )
        self.trash = Trash(watched, gallery, lambda: self.now)
        self.api = API("media", routes(gallery, None, self.trash, Waiting()))  # type: ignore[arg-type]
        objects = WatchedObjects(self.objects, lambda name: self.watch(name))
        self.retention = Retention(watched, objects, self.tasks, BUCKETS, lambda: self.now)

    def later(self, much: timedelta = MONTH) -> None:
        """Long enough for the trash; the retention takes two runs, as bytes follow documents."""
        self.now += much
        self.retention.run()
        self.now += timedelta(minutes=5)
        self.retention.run()

    def delete(self, media_id: str, how: str = "") -> int:
        return self.api("DELETE", f"/{media_id}{how}").status_code

    def restore(self, media_id: str, user: str = ADA) -> Any:
        return self.api("POST", f"/{media_id}/restore", user=user)

    def listed(self, query: str = "") -> list[str]:
        return [one["id"] for one in self.api.read(f"/{query}")["items"]]

    def usage(self, owner: str = ADA) -> tuple[int, int, int, int]:
        usage = self.store.usage(owner)
        return usage.used, usage.reserved, usage.count, usage.trashed


@pytest.fixture
def world(documents: DocumentStore) -> World:
    return World(documents)


def test_what_is_in_the_trash_is_listed_there_with_its_end(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.delete(media_id)
    assert world.listed() == []
    (shown,) = world.api.read("/?state=trashed")["items"]
    assert (shown["id"], shown["state"]) == (media_id, "trashed")
    assert shown["thumbnailUrl"] is not None
    assert shown["eraseAt"] == "2026-12-25T12:00:00Z"
    assert world.api.read("/?state=trashed", BOB)["items"] == []


def test_a_restored_medium_is_as_it_was(world: World) -> None:
    media_id = world.upload(PHOTO)
    before = world.api.read(f"/{media_id}")
    world.delete(media_id)
    assert world.usage() == (len(PHOTO), 0, 1, len(PHOTO))
    answer = world.restore(media_id)
    assert answer.status_code == 200
    assert answer.get_json() == before | {"updatedAt": answer.get_json()["updatedAt"]}
    assert world.usage() == (len(PHOTO), 0, 1, 0)
    world.later()
    assert world.listed() == [media_id]
    assert len(world.objects.objects) == 4


def test_restoring_again_or_what_was_never_thrown_away_changes_nothing(world: World) -> None:
    media_id = world.upload(PHOTO)
    assert world.restore(media_id).status_code == 200
    world.delete(media_id)
    assert [world.restore(media_id).status_code for _ in range(2)] == [200, 200]
    world.outbox.sweep()
    assert world.told().count("snaptask.media.v1.restored") == 1


def test_each_way_in_and_out_of_the_trash_is_told(world: World) -> None:
    media_id = world.upload(PHOTO)
    for _ in range(3):
        world.delete(media_id)
        world.restore(media_id)
    world.delete(media_id, "?permanent=true")
    world.later()
    world.outbox.sweep()
    told = world.told()
    assert told.count("snaptask.media.v1.trashed") == 3
    assert told.count("snaptask.media.v1.restored") == 3
    assert told.count("snaptask.media.v1.erased") == 1
    assert told.count("snaptask.media.v1.bytes-erased") == 1


def test_after_thirty_days_nothing_is_left_but_a_tombstone(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.delete(media_id)
    world.later(timedelta(days=30) - timedelta(minutes=6))
    assert world.medium(media_id).state == "trashed"
    world.later(timedelta(minutes=10))
    assert world.medium(media_id).state == "deleted"
    assert world.objects.objects == {}
    assert world.usage() == (0, 0, 0, 0)
    assert "fileName" not in world.medium(media_id).fields
    assert world.listed("?state=trashed") == []
    assert world.restore(media_id).status_code == 404


@pytest.mark.parametrize("first", ["", None])
def test_for_good_means_from_now_on(world: World, first: str | None) -> None:
    media_id = world.upload(PHOTO)
    if first is not None:
        world.delete(media_id)
    assert world.delete(media_id, "?permanent=true") == 204
    assert world.delete(media_id, "?permanent=true") == 404
    assert world.restore(media_id).status_code == 404
    assert world.usage() == (0, 0, 0, 0)
    world.later(timedelta(minutes=1))
    assert world.objects.objects == {}


def test_a_deletion_that_is_sent_again_does_not_erase(world: World) -> None:
    """Its answer was lost, and the client knows nothing better than to ask again."""
    media_id = world.upload(PHOTO)
    assert [world.delete(media_id) for _ in range(3)] == [204, 404, 404]
    assert world.restore(media_id).status_code == 200


@pytest.mark.parametrize("make", ["announce", "rejected"])
def test_for_good_of_what_was_never_ready(world: World, make: str) -> None:
    media_id = world.announce(PHOTO) if make == "announce" else world.upload(PHOTO[:-2])
    assert world.delete(media_id, "?permanent=true") == 204
    assert world.medium(media_id).state == "deleted"


def test_nobody_elses_trash(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.delete(media_id)
    missing = new_id()
    for method, rest in (("POST", "/restore"), ("DELETE", "?permanent=true")):
        theirs = refusal(world.api(method, f"/{media_id}{rest}", user=BOB))
        assert theirs == refusal(world.api(method, f"/{missing}{rest}", user=BOB))
        assert theirs[0] == 404
    assert world.medium(media_id).state == "trashed"


def test_many_at_once_each_by_itself(world: World) -> None:
    media = [world.upload(content) for content in (PHOTO, OTHER)]
    theirs = world.upload(PHOTO, owner=BOB)
    asked = [*media, theirs, "nonsense", media[0]]
    for path, first, state in (
        ("/bulk-trash", None, "trashed"),
        ("/bulk-restore", None, "ready"),
    ):
        items = world.api.make(path, {"mediaIds": asked})["items"]
        problems = [one["problem"] for one in items]
        assert problems[1] is first
        assert [problems[2]["status"], problems[3]["status"]] == [404, 404]
        # The same twice in one request: one does it, the other finds it done.
        assert None in (problems[0], problems[4])
        assert [world.medium(one).state for one in media] == [state, state]
    assert world.medium(theirs).state == "ready"
    for body in ({"mediaIds": []}, {"mediaIds": ["a"] * 101}, {"mediaIds": [1]}, {}):
        assert world.api("POST", "/bulk-trash", body).status_code == 422


def test_what_was_refused_goes_after_its_days_and_leaves_its_place(world: World) -> None:
    media_id = world.upload(PHOTO[:-2])
    world.tasks.carried[new_id()] = [media_id]
    (shown,) = world.api.read("/?state=rejected")["items"]
    assert shown["eraseAt"] == "2026-12-25T12:00:00Z"
    world.later(timedelta(days=29))
    assert world.medium(media_id).state == "rejected"
    assert world.store.usage(ADA).places == 1
    world.later(timedelta(days=1))
    assert world.medium(media_id).state == "deleted"
    assert "fileName" not in world.medium(media_id).fields
    assert world.store.usage(ADA).places == 0
    world.outbox.sweep()
    assert world.told().count("snaptask.media.v1.deleted") == 1


# Tasks that still carry it


def test_what_a_task_carries_outlives_its_days_in_the_trash(world: World) -> None:
    media_id = world.upload(PHOTO)
    task = new_id()
    world.tasks.carried[task] = [media_id]
    world.delete(media_id)
    world.later()
    world.later()
    assert world.medium(media_id).state == "trashed"
    assert world.restore(media_id).status_code == 200
    world.delete(media_id)
    world.later()
    world.tasks.carried.clear()
    world.later(timedelta(days=1, minutes=1))
    assert world.medium(media_id).state == "deleted"
    assert world.objects.objects == {}


def test_its_owner_may_erase_what_a_task_carries(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.tasks.carried[new_id()] = [media_id]
    assert world.delete(media_id, "?permanent=true") == 204
    world.later(timedelta(minutes=1))
    assert world.objects.objects == {}


def test_the_gallery_of_a_task_and_on_how_many_each_is(world: World) -> None:
    one, two, three = (
        world.upload(content, createdAt=NOON + timedelta(seconds=number))
        for number, content in enumerate((PHOTO, OTHER, PHOTO))
    )
    gone = world.upload(PHOTO)
    first, second = new_id(), new_id()
    world.tasks.carried = {first: [one, gone, three, two], second: [one]}
    world.delete(gone)
    assert world.listed(f"?task={first}") == [three, two, one]
    assert world.listed(f"?task={second}") == [one]
    assert world.listed(f"?task={first}&state=trashed") == [gone]
    assert world.listed(f"?task={new_id()}") == []
    assert world.api("GET", "/?task=nonsense").status_code == 404
    page = world.api.read(f"/?task={first}&limit=2")
    rest = world.api.read(f"/?task={first}&limit=2&cursor={page['nextCursor']}")
    assert [shown["id"] for shown in page["items"] + rest["items"]] == [three, two, one]
    assert rest["nextCursor"] is None
    assert [shown["taskCount"] for shown in world.api.read("/")["items"]] == [1, 1, 2]
    assert world.api.read(f"/{one}")["taskCount"] == 2


def test_a_list_can_be_of_one_type(world: World) -> None:
    png = pictures.saved(pictures.photo(20, 20), "PNG")
    one = world.upload(PHOTO)
    two = world.upload(png, "image/png")
    assert set(world.listed("?type=image")) == {one, two}
    assert world.listed("?type=image/png") == [two]
    assert world.listed("?type=document") == []
    assert world.listed("?type=image/jpeg&state=ready") == [one]
    assert world.api("GET", "/?type=video").status_code == 422


# The same bytes


def test_of_two_media_with_the_same_bytes_the_other_one_stays(world: World) -> None:
    one, two = world.upload(PHOTO), world.upload(PHOTO)
    assert len(world.objects.objects) == 4
    world.delete(one, "?permanent=true")
    world.later(timedelta(minutes=1))
    assert len(world.objects.objects) == 4
    assert world.api("GET", f"/{two}/download").status_code == 302
    world.delete(two, "?permanent=true")
    world.later(timedelta(minutes=1))
    assert world.objects.objects == {}


def test_a_late_event_of_an_erased_first_one_takes_nothing_of_the_second(world: World) -> None:
    one = world.announce(PHOTO)
    event = world.put(one, PHOTO)
    world.pipeline(event)
    two = world.upload(PHOTO)
    world.delete(one, "?permanent=true")
    world.later(timedelta(minutes=1))
    world.pipeline(event)
    assert len(world.objects.objects) == 4
    assert world.medium(two).media_name == f"{one}/{event.generation}"
    world.delete(two, "?permanent=true")
    world.later(timedelta(minutes=1))
    world.pipeline(event)
    assert world.objects.objects == {}


# Trouble


def erase_everything(world: World) -> None:
    """A life of three media, two of them with the same bytes, to its end."""
    for media_id in world.made:  # type: ignore[attr-defined]
        with suppress(ProductError):
            world.trash.put(ADA, media_id)
    world.later()


def prepared() -> World:
    world = World(memory_documents())
    world.made = [world.upload(content) for content in (PHOTO, OTHER, PHOTO)]  # type: ignore[attr-defined]
    world.outbox.sweep()
    return world


def calls_of(run: Callable[[World], None]) -> list[str]:
    world, counted = prepared(), FailAt(0, Crash())
    world.watch = counted
    run(world)
    return counted.calls


@pytest.mark.proof
@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
def test_a_fault_at_any_call_of_the_retention_is_healed_by_the_next_runs(
    fault: Callable[[], BaseException],
) -> None:
    calls = calls_of(erase_everything)
    assert len(calls) > 30
    wrong = []
    for nth, call in enumerate(calls, 1):
        world = prepared()
        world.watch = FailAt(nth, fault())
        with suppress(Crash, ProductError):
            erase_everything(world)
        world.watch = lambda _: None
        erase_everything(world)
        world.later(timedelta(minutes=5))
        world.outbox.sweep()
        told = world.told()
        fine = (
            world.objects.objects == {}
            and world.usage() == (0, 0, 0, 0)
            and told.count("snaptask.media.v1.erased") == 3
            and told.count("snaptask.media.v1.bytes-erased") == 2
            and world.documents.query("blobs") == []
        )
        if not fine:
            wrong.append(f"{nth}: {call}")
    assert wrong == []


def test_two_runs_at_once_erase_once(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.delete(media_id)
    other = Retention(
        MediaStore(world.documents), world.objects, world.tasks, BUCKETS, lambda: world.now
    )
    calls = []

    def beside(name: str) -> None:
        if name in ("after query", "erase") and len(calls) < 4:
            calls.append(name)
            other.run()

    world.now += MONTH
    world.watch = beside
    world.later(timedelta(minutes=5))
    world.later(timedelta(minutes=5))
    assert len(calls) == 4
    assert world.objects.objects == {}
    assert world.usage() == (0, 0, 0, 0)
    world.outbox.sweep()
    assert world.told().count("snaptask.media.v1.erased") == 1


def test_one_that_cannot_be_erased_does_not_keep_the_others(world: World) -> None:
    first, second = world.upload(PHOTO), world.upload(OTHER)
    for media_id in (first, second):
        world.delete(media_id, "?permanent=true")
    erase = world.objects.erase
    stuck = world.medium(first).fields["leftover"]

    def stubborn(bucket: str, name: str) -> None:
        if name == stuck:
            raise Unavailable
        erase(bucket, name)

    world.objects.erase = stubborn  # type: ignore[method-assign]
    world.now += timedelta(minutes=5)
    with pytest.raises(Unavailable):
        world.retention.run()
    assert {name.partition("/")[0] for _, name in world.objects.objects} == {first}
    world.objects.erase = erase  # type: ignore[method-assign]
    world.retention.run()
    assert world.objects.objects == {}


def test_restored_at_the_moment_of_its_erasing_it_is_one_or_the_other(world: World) -> None:
    media_id = world.upload(PHOTO)
    world.delete(media_id)
    world.now += MONTH
    restored: list[int] = []

    def restore(name: str) -> None:
        if name == "after query" and not restored:
            restored.append(world.restore(media_id).status_code)

    world.watch = restore
    world.later(timedelta(minutes=1))
    assert restored == [200]
    assert world.medium(media_id).state == "ready"
    assert len(world.objects.objects) == 4


# A person who leaves


def test_of_a_person_who_leaves_nothing_is_left(world: World) -> None:
    ready, trashed, twin = world.upload(PHOTO), world.upload(OTHER), world.upload(PHOTO)
    world.delete(trashed)
    pending, cancelled = world.announce(PHOTO), world.announce(PHOTO)
    late = world.put(pending, PHOTO)
    world.delete(cancelled)
    world.upload(PHOTO[:-2])
    bobs = world.upload(PHOTO, owner=BOB)
    assert {ready, twin} < set(world.listed())
    world.outbox.sweep()
    told = world.told()
    calls = 1
    while not world.retention.erase_owner(ADA):
        calls += 1
        assert calls < 5
    mine = [doc.id for doc in world.documents.query("media") if doc.data["owner"] == ADA]
    assert mine == []
    assert world.documents.get(f"usage/{ADA}") is None
    assert {doc.data["owner"] for doc in world.documents.query("blobs")} == {BOB}
    world.pipeline(late)
    assert {name.partition("/")[0] for _, name in world.objects.objects} == {bobs}
    assert world.usage(BOB)[0] == len(PHOTO)
    assert world.retention.erase_owner(ADA)
    # Her account's own event tells of it; a record of each would outlive her.
    world.outbox.sweep()
    assert world.told() == told


@pytest.mark.proof
@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
def test_a_fault_at_any_call_of_leaving_is_healed_by_the_next(
    fault: Callable[[], BaseException],
) -> None:
    def leave(world: World) -> None:
        for _ in range(4):
            if world.retention.erase_owner(ADA):
                return
        raise AssertionError("it does not end")

    calls = calls_of(leave)
    for nth in range(1, len(calls) + 1):
        world = prepared()
        world.watch = FailAt(nth, fault())
        with suppress(Crash, ProductError, PreconditionFailed):
            leave(world)
        world.watch = lambda _: None
        leave(world)
        assert world.objects.objects == {}, calls[nth - 1]
        assert world.documents.query("media") == []
        assert world.documents.query("blobs") == []
        assert world.documents.get(f"usage/{ADA}") is None


def test_an_upload_in_the_middle_of_its_check_leaves_nothing_of_who_leaves(world: World) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    left: list[bool] = []

    def leave(name: str) -> None:
        if name == "after copy" and not left:
            left.append(True)
            while not world.retention.erase_owner(ADA):
                pass

    world.watch = leave
    world.pipeline(event)
    assert left
    assert world.objects.objects == {}
    assert world.store.get(media_id) is None
    world.pipeline(event)
    assert world.objects.objects == {}


# Room that a cancelled upload held


def test_the_room_of_a_cancelled_upload_is_free_when_its_url_is_dead(world: World) -> None:
    media_id = world.announce(PHOTO)
    assert world.delete(media_id) == 204
    expiry = UploadExpiry(world.store, world.objects, BUCKETS.inbox, lambda: world.now)
    assert expiry.run() == 0
    assert world.usage() == (0, len(PHOTO), 0, 0)
    event = world.put(media_id, PHOTO)
    world.pipeline(event)
    assert world.objects.objects == {}
    assert world.usage() == (0, len(PHOTO), 0, 0)
    world.now += timedelta(minutes=16)
    assert expiry.run() == 1
    assert expiry.run() == 0
    assert world.usage() == (0, 0, 0, 0)
    world.outbox.sweep()
    assert world.told() == [
        "snaptask.media.v1.deleted",
        "snaptask.media.v1.reservation-released",
    ]
