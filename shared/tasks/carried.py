"""Which media a person reaches through a task: what the media side asks of tasks."""

from __future__ import annotations

from shared.errors import NotFound
from shared.ids import checked_id
from shared.tasks.access import allowed
from shared.tasks.store import TaskStore


class Carried:
    def __init__(self, store: TaskStore) -> None:
        self._store = store

    def attached_by(self, user: str, task_id: str, media_id: str) -> str | None:
        """Who attached the medium to a task that `user` may read; None where nobody did, or he
        may not."""
        try:
            task = allowed(self._store.get(checked_id(task_id)), user, "read")
            attachment = self._store.attachment(task.id, checked_id(media_id))
        except NotFound:
            return None
        if attachment is None:
            return None
        return str(attachment.data.get("by", attachment.data["owner"]))
