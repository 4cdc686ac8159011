"""The path of a picture through the whole local cloud, by the API that people use."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from tests.fixtures import http, pictures
from tests.fixtures.stack import Person, Stack, eventually, put

MEDIA = "snaptask.media.v1."
pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]


def test_a_photograph_becomes_thumbnails_on_a_task(person: Person) -> None:
    content = pictures.saved(pictures.photo(1600, 1200), "JPEG", quality=90)
    task = person.task()
    medium = person.settled(person.upload(content))
    assert medium["state"] == "ready"
    assert (medium["width"], medium["height"]) == (1600, 1200)
    attached = person.api.post(f"/tasks/{task['id']}/attach-media", json={"mediaId": medium["id"]})
    assert attached.json()["mediaCount"] == 1

    whole = person.api.get(f"/tasks/{task['id']}/with-media").json()
    (picture,) = whole["media"]
    thumbnail = Image.open(io.BytesIO(http.get(picture["thumbnailUrl"]).content))
    assert (thumbnail.format, thumbnail.size) == ("WEBP", (320, 240))
    for rendition in medium["renditions"]:
        made = Image.open(io.BytesIO(http.get(rendition["url"]).content))
        assert max(made.size) == rendition["size"]


def test_the_original_comes_back_to_the_byte_as_an_attachment(person: Person) -> None:
    content = pictures.saved(pictures.photo(320, 240), "PNG")
    medium = person.settled(person.upload(content, "image/png", fileName='Öl "1" %.png'))
    redirect = person.api.get(f"/media/{medium['id']}/download")
    assert redirect.status_code == 302
    answer = http.get(redirect.headers["Location"])
    assert answer.content == content
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert "filename*=UTF-8''%C3%96l%20%221%22%20%25.png" in answer.headers["Content-Disposition"]


def test_where_a_picture_was_taken_is_in_no_rendition(person: Person) -> None:
    content = pictures.with_place(pictures.photo(640, 480), "JPEG")
    medium = person.settled(person.upload(content))
    assert b"SpyCamera" in content
    for rendition in medium["renditions"]:
        made = http.get(rendition["url"]).content
        assert b"Exif" not in made
        assert b"SpyCamera" not in made


def test_the_first_snaptasks_multipart_upload_still_works(person: Person) -> None:
    content = pictures.saved(pictures.photo(400, 300), "JPEG")
    answer = person.api.post("/media/upload", files={"file": ("image.jpg", content)})
    assert answer.status_code == 201
    assert person.settled(answer.json()["id"])["state"] == "ready"


def test_detached_is_not_deleted_and_trashed_is_gone(person: Person) -> None:
    medium = person.settled(person.upload(pictures.saved(pictures.photo(320, 240), "JPEG")))
    url, task = f"/media/{medium['id']}", person.task()
    person.api.post(f"/tasks/{task['id']}/attach-media", json={"mediaId": medium["id"]})
    assert person.api.delete(f"/tasks/{task['id']}/detach-media/{medium['id']}").status_code == 204
    assert person.api.get(f"/tasks/{task['id']}/with-media").json()["media"] == []
    assert person.api.get(url).status_code == 200
    assert person.api.delete(url).status_code == 204
    assert [person.api.get(url + rest).status_code for rest in ("", "/download")] == [404, 404]


def kinds() -> dict[str, tuple[bytes, str]]:
    photo = pictures.photo(320, 240)
    pdf = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\nstartxref\n9\n%%EOF\n"
    return {
        "HEIC": (pictures.heic(photo), "image/heic"),
        "AVIF": (pictures.saved(photo, "AVIF"), "image/avif"),
        "TIFF": (pictures.saved(photo, "TIFF"), "image/tiff"),
        "animated GIF": (pictures.animation("GIF"), "image/gif"),
        "PDF": (pdf, "application/pdf"),
        "text": ("Grüße\n".encode(), "text/plain"),
    }


@pytest.mark.parametrize("name", kinds())
def test_every_kind_is_scanned_kept_to_the_byte_and_handed_out_as_an_attachment(
    stack: Stack, person: Person, name: str
) -> None:
    content, kind = kinds()[name]
    medium = person.settled(person.upload(content, kind))
    assert (medium["state"], medium["contentType"]) == ("ready", kind)
    has_preview = kind.startswith("image/")
    assert [one["size"] for one in medium["renditions"]] == [320, 640, 1280] * has_preview
    assert [one["animated"] for one in medium["renditions"]] == [name == "animated GIF"] * (
        3 * has_preview
    )
    for field in ("width", "thumbhash", "color", "thumbnailUrl"):
        assert (medium[field] is not None) == has_preview, field
    answer = person.api.get(f"/media/{medium['id']}/download", follow_redirects=True)
    assert (answer.content, answer.headers["content-type"]) == (content, kind)
    assert answer.headers["content-disposition"].startswith("attachment")
    stored = next(
        one for one in stack.documents("media") if one.get("sha256") and one["state"] == "ready"
    )
    assert stored["scannedBy"]


def test_every_change_is_in_the_audit_trail(stack: Stack, person: Person) -> None:
    medium = person.settled(person.upload(pictures.saved(pictures.photo(320, 240), "JPEG")))
    person.api.delete(f"/media/{medium['id']}")
    me = person.api.get("/auth/me").json()["id"]
    wanted = {"announced", "arrived", "ready", "trashed"}
    seen = eventually(lambda: _audited(stack, me), lambda types: wanted <= set(types))
    assert sorted(seen) == sorted(wanted), "one record for each event"


def _audited(stack: Stack, owner: str) -> list[str]:
    """What happened to his media, as often as it is recorded."""
    types = [str(one["type"]) for one in stack.documents("audit") if one["owner"] == owner]
    return [one.removeprefix(MEDIA) for one in types if one.startswith(MEDIA)]


def test_thirty_people_upload_at_once_and_nobody_loses_a_picture(stack: Stack) -> None:
    contents = [pictures.saved(pictures.photo(200, 150, seed), "JPEG") for seed in range(30)]
    with stack.person() as person, ThreadPoolExecutor(15) as threads:
        media = list(threads.map(person.upload, contents))
        states = list(threads.map(lambda one: person.settled(one)["state"], media))
        assert states == ["ready"] * 30
        listed = person.api.get("/media", params={"limit": 100}).json()["items"]
        assert {one["id"] for one in listed} == set(media)


def test_chaos_on_the_way_changes_nothing_in_the_end(stack: Stack, person: Person) -> None:
    chaos = {"seed": 7, "duplicate": 0.5, "reorder": 0.5, "lostAck": 0.4, "failBefore": 0.3}
    url = f"{stack.plan.url('platform')}/_emulator/chaos"
    assert http.post(url, json=chaos).status_code == 200
    try:
        good = [pictures.saved(pictures.photo(200, 150, seed), "JPEG") for seed in range(8)]
        media = [person.upload(content) for content in good]
        bad = [person.upload(content[:-40]) for content in good[:3]]
        assert [person.settled(one)["state"] for one in media] == ["ready"] * 8
        assert [person.settled(one)["state"] for one in bad] == ["rejected"] * 3
        assert eventually(lambda: stack.objects("inbox"), lambda names: not names) == []
    finally:
        assert http.delete(url).status_code < 300
    owner = person.api.get("/auth/me").json()["id"]
    wanted = ["announced"] * 11 + ["arrived"] * 11 + ["ready"] * 8 + ["rejected"] * 3
    assert eventually(lambda: sorted(_audited(stack, owner)), lambda seen: seen == wanted)


def test_killing_the_function_at_work_loses_nothing(stack: Stack, person: Person) -> None:
    content = pictures.saved(pictures.photo(2400, 1800), "JPEG", quality=90)
    media = [person.upload(content) for _ in range(6)]
    for _ in range(4):
        # The worker; gunicorn's master starts another one, as Cloud Run would an instance.
        master, worker = eventually(
            lambda: stack.processes("thumbnails"), lambda seen: len(seen) == 2
        )
        assert worker.ppid() == master.pid
        worker.kill()
        eventually(worker.is_running, lambda running: not running)
    assert [person.settled(one)["state"] for one in media] == ["ready"] * 6
    owner = person.api.get("/auth/me").json()["id"]
    wanted = ["announced"] * 6 + ["arrived"] * 6 + ["ready"] * 6
    assert eventually(lambda: sorted(_audited(stack, owner)), lambda seen: seen == wanted)
    assert eventually(lambda: stack.objects("inbox"), lambda names: not names) == []


def test_the_bytes_of_a_used_url_stay_what_they_were(person: Person) -> None:
    content = pictures.saved(pictures.photo(320, 240), "JPEG")
    ticket = person.ticket(content)
    assert put(ticket, content).status_code == 200
    assert person.settled(ticket["mediaId"])["state"] == "ready"
    # The inbox is empty again, so the bucket takes the bytes; their event finds the medium
    # settled and takes them away.
    put(ticket, content)
    medium = person.medium(ticket["mediaId"])
    assert medium["state"] == "ready"


def test_what_is_erased_is_gone_from_the_buckets_and_the_room_is_back(
    stack: Stack, person: Person
) -> None:
    """Twice the same bytes, which stand once until both are erased."""
    content = pictures.saved(pictures.photo(300, 200, seed=77), "JPEG")
    first, second = (person.settled(person.upload(content))["id"] for _ in range(2))
    usage = person.api.get("/media/usage").json()
    assert (usage["used"], usage["reserved"], usage["count"]) == (2 * len(content), 0, 2)

    def kept() -> list[str]:
        """Noncurrent generations too."""
        buckets = (stack.plan.bucket(name) for name in ("media", "renditions"))
        found = [b for name in buckets for b in stack.storage.list_blobs(name, versions=True)]
        return [blob.name for blob in found if blob.name.startswith((first, second))]

    assert len(kept()) == 4
    for media_id in (first, second):
        assert len(kept()) == 4
        answer = person.api.delete(f"/media/{media_id}", params={"permanent": True})
        assert answer.status_code == 204
    # The schedule's own run may take what this one would find.
    stack.run_job("empty-trash")
    assert eventually(kept, lambda names: not names) == []
    usage = person.api.get("/media/usage").json()
    assert (usage["used"], usage["reserved"], usage["count"]) == (0, 0, 0)
