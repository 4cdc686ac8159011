"""A picture that its owner gave up leaves nothing behind, wherever the pipeline had got to."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest

from shared.documents import AlreadyExists, DocumentStore
from shared.errors import Conflict, NotFound, Unavailable
from shared.ids import new_id
from shared.media.expiry import UploadExpiry
from shared.media.gallery import Gallery
from shared.media.model import MediaDeleted
from shared.media.store import MediaStore, PreconditionFailed
from tests.fixtures import pictures
from tests.fixtures.api import ADA, Links
from tests.fixtures.stores import WatchedDocuments, memory_documents
from tests.fixtures.stores import documents as documents
from tests.media.world import BUCKETS, NOON, Crash, FailAt, MediaWorld, outage

# Small, because it is rendered two hundred times.
PHOTO = pictures.saved(pictures.photo(40, 30), "JPEG")


def gallery(world: MediaWorld) -> Gallery:
    return Gallery(world.store, Links(), renditions_bucket="renditions", clock=lambda: NOON)


def calls_of_a_good_run() -> list[str]:
    world, counted = MediaWorld(memory_documents()), FailAt(0, Crash())
    world.watch = counted
    world.upload(PHOTO)
    return counted.calls


CALLS = calls_of_a_good_run()


@pytest.mark.parametrize("fault", [Crash, outage], ids=["killed", "outage"])
@pytest.mark.parametrize("nth", range(1, len(CALLS) + 1), ids=lambda n: f"{n} {CALLS[n - 1]}")
@pytest.mark.parametrize("how", ["cancelled", "expired"])
def test_given_up_between_a_fault_and_the_next_delivery_nothing_stays(
    nth: int, fault: type[BaseException], how: str
) -> None:
    world = MediaWorld(memory_documents())
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.watch = FailAt(nth, fault())
    with suppress(Crash, Unavailable):
        world.pipeline(event)
    world.watch = lambda _: None
    state = world.medium(media_id).state
    was_ready = state == "ready"
    if how == "expired":
        late = NOON + timedelta(days=2)
        assert UploadExpiry(world.store, world.objects, BUCKETS.inbox, lambda: late).run() == 0
    elif state == "pending":
        gallery(world).cancel(ADA, media_id)
    else:
        with pytest.raises(Conflict):
            gallery(world).cancel(ADA, media_id)
        if state == "scanning":
            gallery(world).delete(ADA, media_id)
    for _ in range(2):
        world.pipeline(event)
    # What arrived does not expire: it is looked at when its event comes again.
    if was_ready or how == "expired":
        assert len(world.objects.objects) == 4
    else:
        assert world.medium(media_id).state == "deleted"
        assert world.objects.objects == {}


@pytest.mark.parametrize("state", ["ready", "trashed"])
def test_a_late_delivery_takes_nothing_of_a_settled_picture(
    documents: DocumentStore, state: str
) -> None:
    world = MediaWorld(documents)
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)
    world.pipeline(event)
    if state == "trashed":
        gallery(world).delete(ADA, media_id)
    before = dict(world.objects.objects)
    world.pipeline(event)
    assert world.objects.objects == before
    assert world.medium(media_id).state == state


def test_whichever_guard_the_store_names_the_change_was_anothers(documents: DocumentStore) -> None:
    """Update and outbox Create of one commit both fail when the other handler has won."""
    world = MediaWorld(documents)
    medium = world.medium(world.announce(PHOTO))

    def event() -> MediaDeleted:
        return MediaDeleted(id=identifier, occurred_at=NOON, owner=ADA, media_id=medium.id)

    identifier = new_id()
    world.store.change(medium, "deleted", {}, event())
    with pytest.raises(PreconditionFailed):
        world.store.change(medium, "deleted", {}, event())

    def first_met(name: str, _: int) -> None:
        if name == "commit":
            raise AlreadyExists

    with pytest.raises(PreconditionFailed):
        MediaStore(WatchedDocuments(documents, first_met)).change(medium, "deleted", {}, event())


def test_a_second_cancel_at_the_same_moment_finds_nothing(documents: DocumentStore) -> None:
    world = MediaWorld(documents)
    media_id = world.announce(PHOTO)

    def other(name: str, _: int) -> None:
        if name == "commit":
            gallery(world).cancel(ADA, media_id)

    slow = MediaStore(WatchedDocuments(documents, other))
    with pytest.raises(NotFound):
        Gallery(slow, Links(), renditions_bucket="renditions").cancel(ADA, media_id)


def test_an_upload_that_arrives_while_it_is_cancelled_is_a_conflict(
    documents: DocumentStore,
) -> None:
    world = MediaWorld(documents)
    media_id = world.announce(PHOTO)
    event = world.put(media_id, PHOTO)

    def arrives(name: str, _: int) -> None:
        if name == "commit":
            world.pipeline(event)

    slow = MediaStore(WatchedDocuments(documents, arrives))
    with pytest.raises(Conflict):
        Gallery(slow, Links(), renditions_bucket="renditions").cancel(ADA, media_id)
    assert world.medium(media_id).state == "ready"
    assert len(world.objects.objects) == 4
