"""Whatever is made not to fit is found, mended without losing anything, and found only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.documents import Create, Delete, Document, MemoryDocuments, Update
from shared.media.model import Buckets
from shared.media.reconcile import Surroundings, steps
from shared.media.store import MediaStore
from shared.reconcile import Finding, Reconciler
from shared.tasks.reconcile import StrayAttachments, TaskCounts
from tests.fixtures.product import PLAN, Product
from tests.fixtures.stores import WatchedDocuments
from tests.product.operations import OTHER, PICTURE, Scene

INBOX, MEDIA, RENDITIONS = (PLAN.bucket(name) for name in ("inbox", "media", "renditions"))
NOBODY = "a" * 20


@pytest.fixture(scope="module")
def made() -> Scene:
    return Scene(Product())


@pytest.fixture
def scene(made: Scene) -> Iterator[Scene]:
    snapshot = made.product.snapshot()
    yield made
    made.product.restore(snapshot)


def reconciler(scene: Scene, later: timedelta = timedelta(), documents: Any = None) -> Reconciler:
    product = scene.product
    documents = documents or product.documents

    def clock() -> datetime:
        return datetime.now(UTC) + later

    buckets = Buckets(INBOX, MEDIA, RENDITIONS)
    around = Surroundings(documents, product.objects, buckets, product.redriven, clock)
    checks = [
        *steps(around),
        TaskCounts(documents),
        StrayAttachments(documents, MediaStore(documents), clock),
    ]
    return Reconciler(documents, checks)


def medium(scene: Scene, name: str = "picture") -> Document:
    found = scene.product.documents.get(f"media/{getattr(scene, name)}")
    assert found is not None
    return found


def kinds(findings: list[Finding]) -> set[tuple[str, bool]]:
    return {(one.kind, one.repaired) for one in findings}


def test_where_all_fits_nothing_is_found(scene: Scene) -> None:
    before = scene.product.state()
    assert reconciler(scene, timedelta(hours=20)).run() == []
    assert list(reconciler(scene).report()) == []
    assert scene.product.state() == before


def quota(scene: Scene) -> None:
    scene.product.documents.commit([Update(f"usage/{scene.user}", {"usedBytes": 7, "count": 0})])


def references(scene: Scene) -> None:
    path = f"blobs/{medium(scene).data['blob']}"
    scene.product.documents.commit([Update(path, {"references": 5})])


def count(scene: Scene) -> None:
    scene.product.documents.commit([Update(f"tasks/{scene.task}", {"mediaCount": 3})])


def attachment(scene: Scene) -> None:
    fields = {
        "task": NOBODY,
        "media": scene.free,
        "owner": scene.user,
        "createdAt": datetime(2026, 1, 1, tzinfo=UTC),
    }
    scene.product.documents.commit([Create(f"attachments/{NOBODY}_{scene.free}", fields)])


def original(scene: Scene) -> None:
    scene.product.objects.put(MEDIA, f"{NOBODY}/1700000000000001", PICTURE, "image/jpeg")


def earlier_generation(scene: Scene) -> None:
    scene.product.objects.put(MEDIA, f"{scene.picture}/1", PICTURE, "image/jpeg")


def rendition(scene: Scene) -> None:
    name = f"{NOBODY}/1700000000000001/1/320.webp"
    scene.product.objects.put(RENDITIONS, name, PICTURE, "image/webp")


def earlier_recipe(scene: Scene) -> None:
    stored = medium(scene).data["stored"]
    scene.product.objects.put(RENDITIONS, f"{stored}/0/320.webp", PICTURE, "image/webp")


def one_lost_rendition(scene: Scene) -> None:
    stored, recipe = medium(scene).data["stored"], medium(scene).data["recipe"]
    scene.product.objects.discard(RENDITIONS, f"{stored}/{recipe}/640.webp")


def all_lost_renditions(scene: Scene) -> None:
    scene.product.objects.erase(RENDITIONS, medium(scene).data["stored"])


def nobodys_upload(scene: Scene) -> None:
    scene.product.objects.put(INBOX, f"uploads/{NOBODY}", PICTURE, "image/jpeg")


def late_upload(scene: Scene) -> None:
    scene.product.objects.put(INBOX, f"uploads/{scene.free}", OTHER, "image/jpeg")


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (quota, "wrong-usage"),
        (references, "wrong-references"),
        (count, "wrong-count"),
        (attachment, "stray-attachment"),
        (original, "nobodys-original"),
        (earlier_generation, "nobodys-original"),
        (rendition, "nobodys-rendition"),
        (earlier_recipe, "nobodys-rendition"),
        (one_lost_rendition, "missing-rendition"),
        (all_lost_renditions, "missing-rendition"),
        (nobodys_upload, "waiting-upload"),
        (late_upload, "waiting-upload"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_does_not_fit_is_reported_mended_and_found_only_once(
    scene: Scene, spoil: Callable[[Scene], None], kind: str
) -> None:
    product, whole = scene.product, scene.product.state()
    spoil(scene)
    assert product.differences() != []
    spoilt = product.state()
    assert kinds(list(reconciler(scene).report())) == {(kind, False)}
    assert product.state() == spoilt, "a report changes nothing"
    assert kinds(reconciler(scene).run()) == {(kind, True)}
    product.settle()
    assert product.differences() == []
    assert product.state() == whole
    assert reconciler(scene).run() == []


@pytest.mark.parametrize("tombstone", [True, False])
def test_a_picture_attached_at_the_moment_of_its_end_leaves_its_task(
    scene: Scene, tombstone: bool
) -> None:
    """Whoever attached it looked before it went and wrote after its event had been taken."""
    product, gone, day = scene.product, "b" * 20, datetime(2026, 11, 1, tzinfo=UTC)
    now = datetime.now(UTC)
    media = {"owner": scene.user, "state": "deleted", "size": 1, "updatedAt": now}
    attached = {"task": scene.task, "media": gone, "owner": scene.user, "createdAt": day}
    product.documents.commit(
        [
            Create(f"attachments/{scene.task}_{gone}", attached),
            *([Create(f"media/{gone}", media)] if tombstone else []),
            Update(f"tasks/{scene.task}", increment={"mediaCount": 1}),
        ]
    )
    assert product.differences() != []
    if tombstone:
        assert reconciler(scene).run() == [], "its event may still be on its way"
    found = kinds(reconciler(scene, timedelta(hours=1)).run())
    assert found == {("stray-attachment", True)}
    product.settle()
    assert product.differences() == []
    assert product.documents.get(f"attachments/{scene.task}_{gone}") is None
    assert reconciler(scene, timedelta(hours=1)).run() == []


def test_an_upload_whose_event_was_lost_becomes_ready(scene: Scene) -> None:
    product = scene.product
    ticket = scene.ada.ticket(PICTURE)
    assert product.put(ticket, PICTURE) == 200
    product.uploads.clear()
    assert kinds(reconciler(scene).run()) == {("waiting-upload", True)}
    product.settle()
    assert scene.ada.made(f"/api/media/{ticket['mediaId']}", method="GET")["state"] == "ready"
    assert product.differences() == []


def test_a_medium_whose_bytes_vanished_while_they_were_looked_at_is_rejected(scene: Scene) -> None:
    product = scene.product
    path = f"media/{scene.pending}"
    product.documents.commit([Update(path, {"state": "scanning", "pinned": "7"})])
    assert reconciler(scene).run() == [], "its delivery may still be at work"
    assert kinds(reconciler(scene, timedelta(hours=26)).run()) == {("lost-upload", True)}
    product.settle()
    seen = scene.ada.made(f"/api/media/{scene.pending}", method="GET")
    assert (seen["state"], seen["reason"]) == ("rejected", "upload-lost")
    assert product.differences() == []
    assert reconciler(scene, timedelta(hours=26)).run() == []


def test_lost_bytes_are_reported_and_nothing_is_done_about_them(scene: Scene) -> None:
    stored = medium(scene).data["stored"]
    scene.product.objects.discard(MEDIA, stored)
    scene.product.objects.erase(RENDITIONS, stored)
    before = scene.product.state()
    wanted = {("missing-original", False), ("missing-rendition", False)}
    assert kinds(reconciler(scene).run()) == wanted
    assert scene.product.state() == before


class Meanwhile:
    """The bucket, before whose first answer something else happens."""

    def __init__(self, inner: Any, happens: Callable[[], None]) -> None:
        self._inner = inner
        self._happens: Callable[[], None] | None = happens

    def __getattr__(self, name: str) -> Any:
        happens, self._happens = self._happens, None
        if happens:
            happens()
        return getattr(self._inner, name)


def test_what_is_erased_while_it_is_looked_at_alarms_nobody(scene: Scene) -> None:
    """A file said to be lost wakes somebody up."""
    product = scene.product

    def erase() -> None:
        where = f"/api/media/{scene.free}?permanent=true"
        assert scene.ada.call("DELETE", where).status_code == 204
        assert product.job("/empty-trash") == 204

    buckets = Buckets(INBOX, MEDIA, RENDITIONS)
    documents, objects = product.documents, Meanwhile(product.objects, erase)
    around = Surroundings(documents, objects, buckets, product.redriven)
    (media,) = (one for one in steps(around) if one.name == "media")
    assert media.page("", repair=True).findings == []
    assert (MEDIA, f"{scene.free}") not in {(b, n.partition("/")[0]) for b, n in objects.objects}


def test_an_object_without_a_name_of_ours_is_left_alone(scene: Scene) -> None:
    scene.product.objects.put(MEDIA, "backup/of-somebody.tar", b"x", "application/x-tar")
    assert kinds(reconciler(scene).run()) == {("unknown-object", False)}
    assert (MEDIA, "backup/of-somebody.tar") in scene.product.objects.objects


def test_an_original_outlives_its_medium_while_somebody_stands_on_it(scene: Scene) -> None:
    """The first owner of the bytes is erased and even its tombstone forgotten."""
    twin = scene.ada.medium(PICTURE)
    stored = medium(scene).data["stored"]
    assert scene.product.documents.get(f"media/{twin}").data["stored"] == stored  # type: ignore[union-attr]
    documents = scene.product.documents
    documents.commit([Delete(f"media/{scene.picture}")])
    documents.commit([Delete(f"attachments/{scene.task}_{scene.picture}")])
    reconciler(scene).run()
    assert (MEDIA, stored) in scene.product.objects.objects
    assert reconciler(scene).run() == []
    assert scene.ada.call("GET", f"/api/media/{twin}/download").status_code == 302


def test_what_is_young_is_left_to_the_handlers(scene: Scene) -> None:
    """Objects here are of 2023; seen from then, nothing is old enough."""
    for spoil in (original, rendition, nobodys_upload, attachment):
        spoil(scene)
    back = datetime(2023, 1, 1, tzinfo=UTC) - datetime.now(UTC)
    assert reconciler(scene, back).run() == []


@pytest.mark.parametrize("spoil", [quota, references, count], ids=lambda one: one.__name__)
def test_a_sum_that_moves_while_it_is_added_up_is_left_for_the_next_round(
    scene: Scene, spoil: Callable[[Scene], None]
) -> None:
    product = scene.product
    assert isinstance(product.documents, MemoryDocuments)
    spoil(scene)

    def traffic(name: str, _: int) -> None:
        """Just before each repair somebody else touches what is to be repaired."""
        if name == "commit":
            for path, document in list(product.documents._documents.items()):
                if path.partition("/")[0] in ("usage", "blobs", "tasks"):
                    product.documents.commit([Update(path, {"touched": document.commit_id})])

    findings = reconciler(scene, documents=WatchedDocuments(product.documents, traffic)).run()
    assert {one.repaired for one in findings} == {False}
    assert {one.repaired for one in reconciler(scene).run()} == {True}
    product.settle()
    assert product.differences() == []
