"""Media over a document store, with buckets and a topic in memory, and trouble at chosen calls."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.documents import DocumentStore
from shared.events.model import FinalizedObject
from shared.events.outbox import MemoryPublisher, Outbox
from shared.ids import new_id
from shared.media.checksums import crc32c_of
from shared.media.model import Buckets, inbox_name, medium_kind
from shared.media.objects import ListedObject, MemoryObjects, ObjectVersion
from shared.media.pipeline import Pipeline
from shared.media.store import MediaStore
from tests.fixtures import pictures
from tests.fixtures.api import ADA
from tests.fixtures.faults import Crash as Crash
from tests.fixtures.faults import FailAt as FailAt
from tests.fixtures.faults import outage as outage
from tests.fixtures.media import announce
from tests.fixtures.scanner import FakeScanner
from tests.fixtures.stores import WatchedDocuments

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
BUCKETS = Buckets("inbox", "media", "renditions")
PHOTO = pictures.saved(pictures.photo(400, 300), "JPEG")
Watch = Callable[[str], None]


class WatchedObjects:
    """Calls `watch(name)` before and `watch("after " + name)` after every call; it may raise."""

    def __init__(self, inner: MemoryObjects, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def read(self, source: ObjectVersion) -> bytes | None:
        return self._watched("read", lambda: self._inner.read(source))

    def load(self, bucket: str, name: str) -> bytes | None:
        return self._watched("load", lambda: self._inner.load(bucket, name))

    def copy(self, source: ObjectVersion, bucket: str, name: str, content_type: str) -> bool:
        return self._watched("copy", lambda: self._inner.copy(source, bucket, name, content_type))

    def write(self, bucket: str, name: str, content: bytes, content_type: str) -> None:
        self._watched("write", lambda: self._inner.write(bucket, name, content, content_type))

    def delete(self, version: ObjectVersion) -> None:
        self._watched("delete", lambda: self._inner.delete(version))

    def discard(self, bucket: str, name: str) -> None:
        self._watched("discard", lambda: self._inner.discard(bucket, name))

    def erase(self, bucket: str, name: str) -> None:
        self._watched("erase", lambda: self._inner.erase(bucket, name))

    def stands(self, bucket: str, name: str) -> bool:
        return bool(self._watched("stands", lambda: self._inner.stands(bucket, name)))

    def listed(self, bucket: str, after: str, limit: int) -> list[ListedObject]:
        return self._watched("listed", lambda: self._inner.listed(bucket, after, limit))

    def _watched(self, name: str, call: Callable[[], Any]) -> Any:
        self._watch(name)
        answer = call()
        self._watch(f"after {name}")
        return answer


class WatchedPublisher:
    def __init__(self, inner: MemoryPublisher, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def publish(self, messages: Any) -> None:
        self._watch("publish")
        self._inner.publish(messages)
        self._watch("after publish")


class WatchedScanner:
    def __init__(self, inner: FakeScanner, watch: Watch) -> None:
        self._inner = inner
        self._watch = watch

    def scan(self, upload: ObjectVersion, content: bytes) -> str | None:
        self._watch("scan")
        answer = self._inner.scan(upload, content)
        self._watch("after scan")
        return answer


class MediaWorld:
    """`watch` sees every external call of the pipeline and may raise there."""

    def __init__(self, documents: DocumentStore) -> None:
        self.documents = documents
        self.objects = MemoryObjects()
        self.publisher = MemoryPublisher()
        self.store = MediaStore(documents)
        self.watch: Watch = lambda name: None
        watched = WatchedDocuments(documents, lambda name, count: self.watch(name))
        publisher = WatchedPublisher(self.publisher, lambda name: self.watch(name))
        self.outbox = Outbox(watched, publisher)
        self.scanner = FakeScanner()
        self.pipeline = Pipeline(
            MediaStore(watched),
            WatchedObjects(self.objects, lambda name: self.watch(name)),
            self.outbox,
            BUCKETS,
            WatchedScanner(self.scanner, lambda name: self.watch(name)),
            lambda: NOON,
        )

    def announce(self, content: bytes, kind: str = "image/jpeg", **changes: Any) -> str:
        """A pending medium for `content`, or for what `changes` say instead."""
        media_id = str(changes.pop("id", None) or new_id())
        data = {
            "owner": ADA,
            "fileName": "a.jpg",
            "contentType": kind,
            "kind": medium_kind(kind),
            "size": len(content),
            "crc32c": crc32c_of([content]),
            "traceparent": None,
            "uploadExpiresAt": NOON + timedelta(minutes=15),
            "createdAt": NOON,
            "updatedAt": NOON,
        }
        announce(self.documents, media_id, data | changes)
        return media_id

    def put(self, media_id: str, content: bytes, kind: str = "image/jpeg") -> FinalizedObject:
        """The bytes arrive in the inbox; returns the event that tells of them."""
        name = inbox_name(media_id)
        generation = self.objects.put("inbox", name, content, kind)
        return FinalizedObject(
            "inbox", name, generation, len(content), kind, crc32c_of([content]), None
        )

    def upload(self, content: bytes, kind: str = "image/jpeg", **changes: Any) -> str:
        """Announce, put and handle; returns the media id."""
        media_id = self.announce(content, kind, **changes)
        self.pipeline(self.put(media_id, content, kind))
        return media_id

    def medium(self, media_id: str) -> Any:
        found = self.store.get(media_id)
        assert found is not None
        return found

    def names(self, bucket: str) -> list[str]:
        return sorted(name for one, name in self.objects.objects if one == bucket)

    def told(self) -> list[str]:
        """Types of the events, each id once however often it was published."""
        seen = {extra["id"]: extra["type"] for _, extra in self.publisher.messages}
        return sorted(seen.values())

    def state(self) -> str:
        """A hash of all that counts: documents without what differs by chance, objects with
        their bytes, and which events were told."""
        media = {
            doc.id: {
                name: value
                for name, value in sorted(doc.data.items())
                if name not in ("commitId", "updatedAt", "generation", "pinned")
            }
            for doc in self.documents.query("media", limit=1000)
        }
        outbox = [doc.data["type"] for doc in self.documents.query("outbox", limit=1000)]
        objects = sorted(
            (bucket, _plain(name), hashlib.sha256(content).hexdigest(), kind)
            for (bucket, name), (_, content, kind) in self.objects.objects.items()
        )
        whole = json.dumps([media, outbox, objects, self.told()], default=str, sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()


def _plain(name: str) -> str:
    """Without the generation, which is another one in another run."""
    return "/".join(part for part in name.split("/") if not part.isdigit())
