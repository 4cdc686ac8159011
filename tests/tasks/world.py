"""The tasks function over a store, with media beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shared.documents import DocumentStore
from shared.events.model import Event
from shared.ids import new_id
from shared.media.gallery import Gallery
from shared.media.store import MediaStore
from shared.tasks.http import routes
from shared.tasks.service import TaskService
from shared.tasks.store import TaskStore
from tests.fixtures.api import ADA, API, Links
from tests.fixtures.media import announce

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


class Clock:
    """Each reading is a millisecond later; `step` of zero stops it."""

    def __init__(self) -> None:
        self.now = NOON
        self.step = timedelta(milliseconds=1)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


class World:
    def __init__(self, documents: DocumentStore) -> None:
        self.documents = documents
        self.clock = Clock()
        self.media = MediaStore(documents)
        gallery = Gallery(self.media, Links(), renditions_bucket="renditions")
        self.service = TaskService(TaskStore(documents), gallery, self.clock)
        self.api = API("tasks", routes(self.service))

    def task(self, user: str = ADA, **fields: Any) -> str:
        made: str = self.api.make("/", {"title": "Buy milk", **fields}, user)["id"]
        return made

    def picture(self, user: str = ADA, name: str = "a.jpg") -> str:
        identifier = new_id()
        announce(
            self.documents,
            identifier,
            {
                "owner": user,
                "fileName": name,
                "contentType": "image/jpeg",
                "size": 1,
                "crc32c": "AAAAAA==",
                "traceparent": None,
                "uploadExpiresAt": NOON,
                "createdAt": NOON,
                "updatedAt": NOON,
            },
        )
        return identifier

    def attach(self, task: str, picture: str, user: str = ADA) -> Any:
        return self.api.make(f"/{task}/attach-media", {"mediaId": picture}, user)

    def attached(self, task: str, user: str = ADA) -> list[str]:
        return [one["id"] for one in self.api.read(f"/{task}/with-media", user)["media"]]

    def count(self, task: str, user: str = ADA) -> int:
        count: int = self.api.read(f"/{task}", user)["mediaCount"]
        return count

    def attachments(self) -> set[str]:
        return {doc.id for doc in self.documents.query("attachments", limit=1000)}


E = TypeVar("E", bound=Event)


def event(kind: type[E], task: str, **ids: str) -> E:
    return kind(id=new_id(), occurred_at=NOON, owner=ADA, task_id=task, **ids)
