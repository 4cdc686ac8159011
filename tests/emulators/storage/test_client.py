"""What the official client does, against the emulator: every call the product may one day make."""

from __future__ import annotations

import io
import os

import pytest
from google.api_core import exceptions
from google.cloud import storage

from tests.emulators.storage.service import Service, running

pytestmark = pytest.mark.emulated

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("client")) as service:
        service.bucket("plain").soft_delete_policy.retention_duration_seconds = 0
        service.bucket("kept").versioning_enabled = True
        service.client.bucket("kept").patch()
        yield service


@pytest.fixture
def bucket(service: Service) -> storage.Bucket:
    bucket = service.client.bucket("plain")
    bucket.delete_blobs(list(bucket.list_blobs()))
    return bucket


@pytest.fixture
def versioned(service: Service) -> storage.Bucket:
    bucket = service.client.get_bucket("kept")
    bucket.versioning_enabled = True
    bucket.patch()
    bucket.delete_blobs(list(bucket.list_blobs(versions=True)), preserve_generation=True)
    return bucket


class Stream(io.RawIOBase):
    """Bytes that cannot be wound back and do not tell their size."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def tell(self) -> int:
        return self._data.tell()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(size)


def put(bucket: storage.Bucket, name: str, data: bytes | str = b"x", **more) -> storage.Blob:
    blob = bucket.blob(name)
    blob.upload_from_string(data, **more)
    return blob


def test_a_small_upload_keeps_type_metadata_and_checksums(bucket):
    blob = bucket.blob("ü b/?#%.txt")
    blob.metadata = {"Farbe": "grün"}
    blob.cache_control = "no-store"
    blob.upload_from_string("grüezi", content_type="text/plain", checksum="crc32c")
    read = bucket.get_blob("ü b/?#%.txt")
    assert read.download_as_text() == "grüezi"
    assert (read.content_type, read.metadata) == ("text/plain", {"Farbe": "grün"})
    assert (read.size, read.cache_control, read.metageneration) == (7, "no-store", 1)
    assert read.crc32c == blob.crc32c
    assert read.md5_hash
    assert read.time_created == read.updated


def test_a_large_upload_travels_in_chunks(bucket):
    data = os.urandom(9 * MIB + 17)
    blob = bucket.blob("large", chunk_size=2 * MIB)
    blob.upload_from_file(io.BytesIO(data), size=len(data), checksum="crc32c")
    assert bucket.blob("large").download_as_bytes() == data
    assert bucket.get_blob("large").size == len(data)


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 512 * 1024, 700_001])
def test_a_stream_of_unknown_size_is_stored_whole(bucket, size):
    data = os.urandom(size)
    blob = bucket.blob("stream", chunk_size=256 * 1024)
    blob.upload_from_file(Stream(data), content_type="image/png")
    assert bucket.blob("stream").download_as_bytes() == data
    assert bucket.get_blob("stream").content_type == "image/png"


def test_a_writer_and_a_reader_see_the_same_bytes(bucket):
    data = os.urandom(600_000)
    with bucket.blob("file").open("wb", chunk_size=256 * 1024, ignore_flush=True) as file:
        for start in range(0, len(data), 50_000):
            file.write(data[start : start + 50_000])
    with bucket.blob("file").open("rb", chunk_size=100_000) as file:
        assert file.read(10) == data[:10]
        file.seek(-10, io.SEEK_END)
        assert file.read() == data[-10:]
        file.seek(0)
        assert file.read() == data


def test_ranges_are_read_and_those_beyond_the_end_refused(bucket):
    blob = put(bucket, "range", b"0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=8) == b"89"
    assert blob.download_as_bytes(start=8, end=100) == b"89"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_a_missing_object_is_not_found(bucket):
    assert bucket.get_blob("absent") is None
    assert not bucket.blob("absent").exists()
    for call in (bucket.blob("absent").download_as_bytes, bucket.blob("absent").delete):
        with pytest.raises(exceptions.NotFound):
            call()


def test_a_create_happens_once(bucket):
    first = put(bucket, "once", b"first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        put(bucket, "once", b"second", if_generation_match=0)
    large = bucket.blob("once", chunk_size=MIB)
    with pytest.raises(exceptions.PreconditionFailed):
        large.upload_from_file(Stream(b"third"), if_generation_match=0)
    assert bucket.blob("once").download_as_bytes() == b"first"
    put(bucket, "once", b"fourth", if_generation_match=first.generation)
    assert bucket.blob("once").download_as_bytes() == b"fourth"


def test_every_call_obeys_its_preconditions(bucket):
    blob = put(bucket, "cond")
    other = blob.generation + 1
    for call in (blob.reload, blob.patch, blob.delete, blob.download_as_bytes):
        with pytest.raises(exceptions.PreconditionFailed):
            call(if_generation_match=other)
        with pytest.raises(exceptions.PreconditionFailed):
            call(if_metageneration_match=9)
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=blob.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_not_match=blob.generation)
    blob.delete(if_generation_match=blob.generation)


def test_a_patch_merges_and_null_removes(bucket):
    blob = put(bucket, "patched", content_type="text/plain")
    blob.metadata = {"a": "1", "b": "2"}
    blob.content_language = "de"
    blob.patch()
    fresh = bucket.blob("patched")
    fresh.metadata = {"a": None, "c": "3"}
    fresh.patch()
    assert fresh.metadata == {"b": "2", "c": "3"}
    assert (fresh.content_type, fresh.content_language) == ("text/plain", "de")
    assert fresh.metageneration == 3
    fresh.metadata = None
    fresh.content_language = None
    fresh.patch(if_metageneration_match=3)
    read = bucket.get_blob("patched")
    assert (read.metadata, read.content_language) == (None, None)
    assert read.generation == blob.generation


def test_an_update_replaces_what_a_patch_would_keep(bucket):
    put(bucket, "updated", content_type="text/plain")
    blob = bucket.blob("updated")
    blob.metadata = {"a": "1"}
    blob.update()
    read = bucket.get_blob("updated")
    assert (read.metadata, read.content_type) == ({"a": "1"}, None)


def test_a_versioned_bucket_keeps_and_names_each_generation(versioned):
    generations = [put(versioned, "v", str(n)).generation for n in range(3)]
    versioned.blob("v").delete()
    assert versioned.get_blob("v") is None
    found = list(versioned.list_blobs(versions=True))
    assert [blob.generation for blob in found] == generations
    assert all(blob.time_deleted for blob in found)
    assert versioned.blob("v", generation=generations[1]).download_as_bytes() == b"1"
    versioned.blob("v", generation=generations[0]).delete()
    with pytest.raises(exceptions.NotFound):
        versioned.blob("v", generation=generations[0]).reload()
    versioned.copy_blob(
        versioned.blob("v"), versioned, new_name="v", source_generation=generations[1]
    )
    assert versioned.blob("v").download_as_bytes() == b"1"


def test_a_soft_deleted_object_is_listed_and_restored(service):
    bucket = service.bucket("soft-deleted")
    first = put(bucket, "s", b"first")
    second = put(bucket, "s", b"second")
    bucket.blob("s").delete()
    assert list(bucket.list_blobs()) == []
    found = list(bucket.list_blobs(soft_deleted=True))
    assert [blob.generation for blob in found] == [first.generation, second.generation]
    assert found[0].hard_delete_time > found[0].soft_delete_time
    assert bucket.get_blob("s", generation=first.generation, soft_deleted=True).size == 5
    with pytest.raises(exceptions.NotFound):
        bucket.blob("s", generation=first.generation).download_as_bytes()
    restored = bucket.restore_blob("s", generation=first.generation)
    assert restored.generation > second.generation
    assert bucket.blob("s").download_as_bytes() == b"first"
    bucket.delete(force=True)


def test_a_copy_keeps_and_a_rewrite_replaces_metadata(bucket, service):
    source = bucket.blob("source")
    source.metadata = {"a": "1"}
    source.upload_from_string("bytes", content_type="text/plain")
    copied = bucket.copy_blob(source, service.client.bucket("kept"), "copied")
    copied.reload()
    assert (copied.metadata, copied.content_type) == ({"a": "1"}, "text/plain")
    same = bucket.blob("same")
    assert same.rewrite(source) == (None, 5, 5)
    assert (same.metadata, same.content_type) == ({"a": "1"}, "text/plain")
    changed = bucket.blob("changed")
    changed.content_type = "text/html"
    changed.rewrite(source, if_generation_match=0)
    assert (changed.metadata, changed.content_type) == (None, "text/html")
    source.delete()
    assert copied.download_as_bytes() == same.download_as_bytes() == b"bytes"
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("changed").rewrite(same, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("new").rewrite(same, if_source_generation_match=1)


def test_a_storage_class_is_changed_by_rewriting(bucket):
    blob = put(bucket, "class", content_type="text/plain")
    blob.update_storage_class("NEARLINE")
    assert bucket.get_blob("class").storage_class == "NEARLINE"
    assert bucket.get_blob("class").content_type == "text/plain"


def test_parts_are_composed_in_order(bucket):
    parts = [put(bucket, f"part-{n}", str(n) * 5) for n in range(3)]
    whole = bucket.blob("whole")
    whole.content_type = "text/plain"
    whole.compose(parts, if_generation_match=0)
    assert whole.download_as_bytes() == b"000001111122222"
    whole.reload()
    assert (whole.component_count, whole.md5_hash, whole.size) == (3, None, 15)
    assert whole.content_type == "text/plain"
    bucket.blob("more").compose([whole, parts[0]])
    assert bucket.get_blob("more").component_count == 4
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        whole.compose(parts[:1], if_source_generation_match=[1])
    with pytest.raises(exceptions.NotFound):
        whole.compose([bucket.blob("absent")])


def test_a_move_leaves_nothing_behind(bucket):
    blob = put(bucket, "from", b"moved", content_type="text/plain")
    moved = bucket.move_blob(blob, "to", if_generation_match=0)
    assert moved.download_as_bytes() == b"moved"
    assert bucket.get_blob("to").content_type == "text/plain"
    assert bucket.get_blob("from") is None
    put(bucket, "from", b"new")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.move_blob(bucket.blob("from"), "to", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.move_blob(bucket.blob("from"), "else", if_source_generation_match=1)
    assert bucket.blob("to").download_as_bytes() == b"moved"


def test_listings_fold_page_and_bound(bucket):
    names = ["a", "d/1", "d/2", "e/", "e/1", "z"]
    for name in names:
        put(bucket, name)
    assert [blob.name for blob in bucket.list_blobs(page_size=2)] == names
    folded = bucket.list_blobs(delimiter="/")
    assert [blob.name for blob in folded] == ["a", "z"]
    assert folded.prefixes == {"d/", "e/"}
    inside = bucket.list_blobs(prefix="d/", delimiter="/", start_offset="d/2")
    assert [blob.name for blob in inside] == ["d/2"]
    trailing = bucket.list_blobs(delimiter="/", include_trailing_delimiter=True)
    assert [blob.name for blob in trailing] == ["a", "e/", "z"]
    bounded = bucket.list_blobs(start_offset="d/2", end_offset="z")
    assert [blob.name for blob in bounded] == ["d/2", "e/", "e/1"]
    first = bucket.list_blobs(max_results=4, page_size=3)
    assert [len(list(page)) for page in first.pages] == [3, 1]
    with pytest.raises(exceptions.MethodNotImplemented):
        list(bucket.list_blobs(match_glob="*"))


def test_a_batch_answers_each_call_in_its_place(bucket, service):
    blobs = [put(bucket, f"b{n}", content_type="text/plain") for n in range(3)]
    with service.client.batch():
        blobs[0].metadata = {"x": "ü"}
        blobs[0].patch()
        blobs[1].delete()
    assert bucket.get_blob("b0").metadata == {"x": "ü"}
    assert bucket.get_blob("b1") is None

    def one_of_two_is_missing() -> None:
        with service.client.batch():
            bucket.blob("absent").delete()
            blobs[2].delete()

    with pytest.raises(exceptions.NotFound):
        one_of_two_is_missing()
    assert bucket.get_blob("b2") is None


def test_buckets_keep_their_settings_and_refuse_a_second_creation(service):
    bucket = service.client.bucket("set-tings")
    bucket.labels = {"a": "1", "b": "2"}
    bucket.add_lifecycle_delete_rule(age=3)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    service.client.create_bucket(bucket, location="europe-west6")
    read = service.client.get_bucket("set-tings")
    assert read.location == "EUROPE-WEST6"
    assert read.iam_configuration.public_access_prevention == "enforced"
    assert [rule["condition"]["age"] for rule in read.lifecycle_rules] == [3]
    read.labels = {"a": "1"}
    read.patch(if_metageneration_match=read.metageneration)
    assert service.client.get_bucket("set-tings").labels == {"a": "1"}
    with pytest.raises(exceptions.Conflict):
        service.client.create_bucket("set-tings")
    assert [found.name for found in service.client.list_buckets(prefix="set")] == ["set-tings"]
    put(read, "x")
    with pytest.raises(exceptions.Conflict):
        read.delete()
    read.delete(force=True)
    assert not read.exists()
    with pytest.raises(exceptions.NotFound):
        put(read, "x")


def test_what_needs_access_lists_or_own_keys_says_that_it_is_left_out(bucket):
    blob = put(bucket, "left-out")
    with pytest.raises(exceptions.MethodNotImplemented):
        blob.make_public()
    with pytest.raises(exceptions.MethodNotImplemented):
        bucket.get_iam_policy()
    with pytest.raises(exceptions.MethodNotImplemented):
        bucket.blob("key", encryption_key=b"k" * 32).upload_from_string("x")
