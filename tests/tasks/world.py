"""The tasks function over a store, with media beside it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from shared.activity.audit import AuditTrail
from shared.activity.history import TaskHistory
from shared.documents import DocumentStore
from shared.events.model import delivered
from shared.events.outbox import MemoryPublisher, Outbox
from shared.identity.departed import Departed
from shared.ids import new_id
from shared.media.gallery import Gallery
from shared.media.store import MediaStore
from shared.tasks.comments import Comments
from shared.tasks.events import TaskEvent
from shared.tasks.http import routes
from shared.tasks.pictures import TaskPictures
from shared.tasks.remains import Remains
from shared.tasks.service import TaskService
from shared.tasks.sharing import Sharing
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
        self.store = TaskStore(documents)
        remains = Remains(documents)
        history = TaskHistory(documents)
        self.service = TaskService(self.store, gallery, history, remains, self.clock)
        self.pictures = TaskPictures(self.store, gallery, self.clock)
        self.comments = Comments(documents, self.store, self.clock)
        self.sharing = Sharing(documents, self.store, self.clock)
        self.api = API("tasks", routes(self.service, self.pictures, self.comments, self.sharing))

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

    def comment(self, task: str, text: str = "Hm", user: str = ADA, **headers: str) -> str:
        made: str = self.api.make(f"/{task}/comments", {"text": text}, user, **headers)["id"]
        return made

    def share(self, task: str, user: str, role: str = "editor", owner: str = ADA) -> None:
        answer = self.api("PUT", f"/{task}/members/{user}", {"role": role}, user=owner)
        assert answer.status_code == 200, answer.get_data()

    def ids(self, query: str = "", user: str = ADA) -> list[str]:
        return [one["id"] for one in self.api.read(f"/?{query}", user)["items"]]

    def publish(self) -> list[dict[str, Any]]:
        """What waits in the outbox reaches the audit trail; the events."""
        publisher = MemoryPublisher()
        Outbox(self.documents, publisher).sweep()
        trail = AuditTrail(self.documents, Departed(self.documents), self.clock)
        for data, attributes in publisher.messages:
            message = {"data": base64.b64encode(data).decode(), "attributes": attributes}
            trail.record(delivered(message))
        return [json.loads(data) for data, _ in publisher.messages]


E = TypeVar("E", bound=TaskEvent)


def event(kind: type[E], task: str, **ids: str) -> E:
    return kind(id=new_id(), occurred_at=NOON, owner=ADA, actor=ADA, task_id=task, **ids)
