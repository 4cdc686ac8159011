"""The rules of preconditions, names, listings, CORS and multipart, without a process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from emulators.storage import cors, faults
from emulators.storage.content import Digests, Sink
from emulators.storage.errors import (
    BucketNotEmpty,
    Incomplete,
    Invalid,
    NoSuchKey,
    PreconditionFailed,
)
from emulators.storage.listing import Listing, successor
from emulators.storage.model import ANY, Preconditions, Version, merge
from emulators.storage.store import Store
from emulators.storage.transport import Multipart, parameters

RULES = [{"origin": ["https://a.test"], "method": ["PUT"], "responseHeader": ["content-type"]}]


@pytest.fixture
def store(tmp_path: Path):
    store = Store(tmp_path)
    store.create_bucket("b-1", "p", {"softDeletePolicy": {"retentionDurationSeconds": "0"}})
    yield store
    store.close()


def filled(store: Store, data: bytes = b"x") -> Sink:
    sink = store.blobs.sink()
    sink.write(data)
    return sink


def put(store: Store, name: str, data: bytes = b"x", when: Preconditions = ANY) -> Version:
    return store.create("b-1", name, filled(store, data), {}, when)


def test_generations_increase_even_when_the_clock_stands_still(tmp_path):
    store = Store(tmp_path, clock=lambda: 1000.0)
    store.create_bucket("b-1", "p", {})
    generations = [put(store, "a").generation for _ in range(3)]
    assert generations == sorted(set(generations))
    store.close()


def test_a_reopened_store_goes_on_with_higher_generations(tmp_path):
    store = Store(tmp_path, clock=lambda: 2000.0)
    store.create_bucket("b-1", "p", {})
    before = put(store, "a").generation
    store.close()
    again = Store(tmp_path, clock=lambda: 1000.0)
    assert put(again, "a").generation > before
    again.close()


def test_a_second_create_is_refused_and_leaves_no_bytes(store):
    put(store, "a", b"first", Preconditions(generation_match=0))
    with pytest.raises(PreconditionFailed):
        put(store, "a", b"second", Preconditions(generation_match=0))
    assert store.blobs.path(store.get("b-1", "a").blob).read_bytes() == b"first"
    assert len(list(store.blobs.names())) == 1


def test_an_overwrite_waits_until_a_read_holds_its_file(store, monkeypatch):
    put(store, "a", b"first")
    overwrite = threading.Thread(target=put, args=(store, "a", b"second"))
    path = store.blobs.path

    def slow(blob: str) -> Path:
        """Between finding the version and opening its file, the overwrite has its chance."""
        monkeypatch.setattr(store.blobs, "path", path)
        overwrite.start()
        overwrite.join(0.2)
        return path(blob)

    monkeypatch.setattr(store.blobs, "path", slow)
    _, file = store.open("b-1", "a", None)
    with file:
        overwrite.join(10)
        assert file.read() == b"first"
    assert store.get("b-1", "a").size == 6


def test_an_overwrite_removes_the_bytes_it_replaces(store):
    put(store, "a", b"first")
    put(store, "a", b"second")
    assert len(list(store.blobs.names())) == 1


def test_bytes_without_a_row_are_removed_at_the_next_start(tmp_path, store):
    put(store, "a")
    sink = filled(store)
    sink.close()
    orphan = store.blobs.adopt(sink.path)
    store.close()
    again = Store(tmp_path)
    assert orphan not in set(again.blobs.names())
    assert again.get("b-1", "a")
    again.close()


def test_a_session_that_cannot_end_keeps_what_it_holds(tmp_path, store, monkeypatch):
    partial = store.blobs.partial / "session"
    partial.write_bytes(b"all of it")
    store.add_upload("session", {"bucket": "b-1", "name": "a", "fields": {}, "when": vars(ANY)})
    digests = Digests()
    digests.update(b"all of it")

    def die(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(store, "_announce", die)
    with pytest.raises(OSError):
        store.finish_upload("session", digests)
    assert store.find("b-1", "a") is None
    store.close()
    again = Store(tmp_path)
    assert partial.read_bytes() == b"all of it"
    assert list(again.blobs.names()) == []
    new = again.finish_upload("session", digests)
    assert again.upload("session")["finished"] == new.generation
    assert not partial.exists()
    again.close()


def test_partial_files_of_no_session_are_removed_at_the_next_start(tmp_path, store):
    (store.blobs.partial / "stray").write_bytes(b"x")
    store.close()
    again = Store(tmp_path)
    assert list(again.blobs.partial.iterdir()) == []
    again.close()


def test_a_versioned_bucket_keeps_what_a_delete_hides(store):
    store.change_bucket("b-1", {"versioning": {"enabled": True}}, ANY, keep=True)
    first = put(store, "a", b"1")
    store.delete("b-1", "a")
    with pytest.raises(NoSuchKey):
        store.get("b-1", "a")
    assert store.get("b-1", "a", first.generation).size == 1
    with pytest.raises(BucketNotEmpty):
        store.delete_bucket("b-1", ANY)


def test_a_soft_deleted_object_comes_back_until_its_time_is_over(tmp_path):
    now = [1000.0]
    store = Store(tmp_path, clock=lambda: now[0])
    store.create_bucket("b-1", "p", {"softDeletePolicy": {"retentionDurationSeconds": "60"}})
    first, second = put(store, "a", b"1"), put(store, "c", b"2")
    store.delete("b-1", "a")
    store.delete("b-1", "c")
    assert store.restore("b-1", "a", first.generation, ANY).generation > first.generation
    now[0] += 61
    store.sweep()
    with pytest.raises(NoSuchKey):
        store.restore("b-1", "c", second.generation, ANY)
    store.close()


def test_pages_and_prefixes_cover_each_name_once(store):
    names = ["a", "d/1", "d/2", "d/3/x", "e", "\ud7ff", "\U0001f600", "ü/1"]
    for name in names:
        put(store, name)
    seen, prefixes, token = [], [], None
    while True:
        page = store.page("b-1", Listing(delimiter="/", token=token, limit=1))
        assert len(page.items) + len(page.prefixes) <= 1
        seen += [item.name for item in page.items]
        prefixes += page.prefixes
        token = page.token
        if not token:
            break
    assert (seen, prefixes) == (["a", "e", "\ud7ff", "\U0001f600"], ["d/", "ü/"])


def test_the_successor_of_a_prefix_is_behind_all_its_names():
    assert successor("d/") == "d0"
    assert successor("\U0010ffff") is None
    assert successor("\ud7ff") == "\ue000"


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "x" * 1025, "\udc80"])
def test_a_bad_object_name_is_refused(store, name):
    with pytest.raises(Invalid):
        put(store, name)


def test_a_finalize_waits_in_the_outbox_with_its_change(store):
    topic = "//pubsub.googleapis.com/projects/p/topics/t"
    store.add_notification("b-1", {"topic": topic, "event_types": ["OBJECT_FINALIZE"]})
    first, second = put(store, "a"), put(store, "a")
    waiting = [row["attributes"] for _, row in store.waiting("projects/p/topics/t", 10)]
    assert [row["objectGeneration"] for row in waiting] == [
        str(first.generation),
        str(second.generation),
    ]
    assert waiting[1]["overwroteGeneration"] == str(first.generation)


def test_a_refused_write_announces_nothing(store):
    put(store, "a")
    store.add_notification("b-1", {"topic": "//pubsub.googleapis.com/projects/p/topics/t"})
    with pytest.raises(PreconditionFailed):
        put(store, "a", when=Preconditions(generation_match=0))
    assert store.waiting_topics() == []


def test_a_null_removes_and_an_object_merges():
    assert merge({"a": {"x": 1, "y": 2}, "b": 1}, {"a": {"x": None}, "b": None}) == {"a": {"y": 2}}


def test_a_preflight_names_the_origin_that_a_rule_allows():
    asked = {"origin": "https://a.test", "access-control-request-method": "PUT"}
    assert cors.preflight(RULES, asked)["access-control-allow-origin"] == "https://a.test"


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://b.test"},
        {"origin": "https://a.test.evil"},
        {"access-control-request-method": "DELETE"},
        {"access-control-request-headers": "content-type,x-goog-acl"},
    ],
)
def test_a_preflight_beyond_the_rules_gets_no_headers(change):
    asked = {"origin": "https://a.test", "access-control-request-method": "PUT", **change}
    assert cors.preflight(RULES, asked) == {}


async def chunked(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def parts_of(data: bytes, size: int) -> list[tuple[dict[str, str], bytes]]:
    found = Multipart(chunked(data, size), "multipart/form-data; boundary=BB")
    return [(part.headers, b"".join([p async for p in part.body])) async for part in found]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_multipart_body_is_the_same_however_it_is_cut(size):
    data = b"--BB\r\nA: 1\r\n\r\none\r\n--B\r\n--BB\r\n\r\n\r\n--BB--\r\n"
    assert asyncio.run(parts_of(data, size)) == [({"a": "1"}, b"one\r\n--B"), ({}, b"")]


def test_a_multipart_body_without_its_end_is_refused():
    with pytest.raises(Incomplete):
        asyncio.run(parts_of(b"--BB\r\nA: 1\r\n\r\none", 5))


def test_quoted_parameters_may_hold_a_semicolon():
    assert parameters('form-data; name="a;b"; x=1') == {"name": "a;b", "x": "1"}


def test_a_fault_is_used_as_often_as_asked():
    waiting = faults.Faults()
    waiting.add(faults.parse({"kind": "status", "method": "PUT", "path_prefix": "/b/", "count": 2}))
    assert waiting.for_request("GET", "/b/x") is None
    assert [bool(waiting.for_request("PUT", "/b/x")) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    "body", [{"kind": "x"}, {"kind": "cut", "count": "1"}, {"kind": "cut", "z": 1}]
)
def test_a_fault_nobody_knows_is_refused(body):
    with pytest.raises(Invalid):
        faults.parse(body)
