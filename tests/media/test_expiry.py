"""Uploads that never came are given up; those that came and were not looked at never are."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

import pytest

from shared.documents import DocumentStore
from shared.errors import Unavailable
from shared.media.expiry import UploadExpiry
from shared.media.gallery import Gallery
from shared.media.model import MediaRejected, inbox_name
from shared.media.store import MediaStore
from tests.fixtures.api import ADA, Links
from tests.fixtures.stores import WatchedDocuments
from tests.fixtures.stores import documents as documents
from tests.media.world import BUCKETS, NOON, PHOTO, MediaWorld, WatchedObjects

LATE = timedelta(days=2)


@pytest.fixture
def world(documents: DocumentStore) -> MediaWorld:
    return MediaWorld(documents)


def expire(world: MediaWorld, after: timedelta = LATE) -> int:
    return UploadExpiry(world.store, world.objects, BUCKETS.inbox, lambda: NOON + after).run()


def gallery(world: MediaWorld) -> Gallery:
    store = MediaStore(world.documents)
    return Gallery(store, Links(), renditions_bucket=BUCKETS.renditions, clock=lambda: NOON)


def states(world: MediaWorld, media_ids: list[str]) -> set[str]:
    return {medium.state for medium in world.store.get_all(media_ids)}


def test_an_upload_that_never_came_is_given_up_a_day_after_its_time(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    assert expire(world, timedelta(hours=24, minutes=14)) == 0
    assert expire(world, timedelta(hours=24, minutes=16)) == 1
    assert expire(world, timedelta(hours=24, minutes=16)) == 0
    medium = world.medium(media_id)
    assert (medium.state, medium.fields["reason"]) == ("rejected", "never-uploaded")
    world.outbox.sweep()
    assert world.told() == [MediaRejected.type]


def test_nothing_but_waiting_uploads_expires(world: MediaWorld) -> None:
    ready, rejected = world.upload(PHOTO), world.upload(PHOTO[:-2])
    assert expire(world, timedelta(days=9)) == 0
    assert [world.medium(one).state for one in (ready, rejected)] == ["ready", "rejected"]


def test_an_upload_that_nobody_looked_at_for_days_is_kept_and_becomes_ready(
    world: MediaWorld,
) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    assert expire(world, timedelta(days=9)) == 0
    assert (world.medium(media_id).state, world.store.usage(ADA).reserved) == (
        "pending",
        len(PHOTO),
    )
    world.pipeline(event)
    assert world.medium(media_id).state == "ready"


def test_those_that_came_keep_none_behind_them_waiting(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.media.expiry._BATCH", 4)
    monkeypatch.setattr("shared.media.expiry._LISTED", 3)
    came, never = [], []
    for number in range(20):
        ends = NOON + timedelta(seconds=number // 2)
        (came if number < 14 else never).append(world.announce(b"x", uploadExpiresAt=ends))
    for media_id in came:
        world.objects.put("inbox", inbox_name(media_id), b"x", "image/jpeg")
    assert expire(world) == 6
    assert expire(world) == 0
    assert states(world, never) == {"rejected"}
    assert states(world, came) == {"pending"}


def test_a_run_takes_as_many_as_its_time_allows_and_the_next_goes_on(
    world: MediaWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than one query gives, of both kinds: nobody's dead room waits for many runs."""
    monkeypatch.setattr("shared.media.expiry._BATCH", 4)
    waiting = [world.announce(b"x") for _ in range(11)]
    cancelled = [world.announce(b"x") for _ in range(11)]
    for media_id in cancelled:
        gallery(world).cancel(ADA, media_id)
    spent = count()
    slow = UploadExpiry(
        world.store,
        world.objects,
        BUCKETS.inbox,
        lambda: NOON + LATE,
        # A quarter of the time at each look.
        lambda: 25.0 * next(spent),
    )
    assert slow.run() == 4 + 11
    assert expire(world) == 22 - 15
    assert states(world, waiting) == {"rejected"}
    assert world.store.usage(ADA).reserved == 0


def test_an_upload_that_arrives_while_it_is_given_up_is_one_or_the_other(
    world: MediaWorld,
) -> None:
    """Settled after the inbox was listed without it."""
    media_id = world.announce(PHOTO)
    calls: list[str] = []

    def arrive(name: str) -> None:
        calls.append(name)
        if name == "after listed":
            world.pipeline(world.put(media_id, PHOTO))

    objects = WatchedObjects(world.objects, arrive)
    assert UploadExpiry(world.store, objects, BUCKETS.inbox, lambda: NOON + LATE).run() == 0
    assert calls
    assert world.medium(media_id).state == "ready"


def test_one_that_is_settled_before_the_inbox_is_listed_stays_settled(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)

    def arrive(name: str) -> None:
        if name == "listed":
            world.pipeline(event)

    objects = WatchedObjects(world.objects, arrive)
    assert UploadExpiry(world.store, objects, BUCKETS.inbox, lambda: NOON + LATE).run() == 0
    assert world.medium(media_id).state == "ready"


def test_while_storage_is_out_nothing_is_given_up(world: MediaWorld) -> None:
    media_id = world.announce(PHOTO)

    def fail(_: str) -> None:
        raise Unavailable

    objects = WatchedObjects(world.objects, fail)
    with pytest.raises(Unavailable):
        UploadExpiry(world.store, objects, BUCKETS.inbox, lambda: NOON + LATE).run()
    assert world.medium(media_id).state == "pending"


def test_a_run_without_anything_overdue_asks_the_bucket_nothing(world: MediaWorld) -> None:
    world.announce(PHOTO)
    asked: list[str] = []
    store = MediaStore(WatchedDocuments(world.documents, lambda name, _: asked.append(name)))
    objects = WatchedObjects(world.objects, asked.append)
    assert UploadExpiry(store, objects, BUCKETS.inbox, lambda: NOON).run() == 0
    assert set(asked) == {"query", "after query"}
