"""The routes of tasks."""

from __future__ import annotations

from typing import Annotated

from shared.errors import Conflict, NotFound, StaleVersion
from shared.http import Header, Principal, Reply, Routes
from shared.tasks.model import (
    MediaReference,
    TaskDraft,
    TaskFilter,
    TaskPage,
    TaskPatch,
    TaskView,
    TaskWithMedia,
)
from shared.tasks.service import TaskService

IfMatch = Annotated[str | None, Header("If-Match")]
IdempotencyKey = Annotated[str | None, Header("Idempotency-Key")]


def routes(tasks: TaskService) -> Routes:
    routes = Routes(tag="tasks")

    @routes.get("/")
    def find(query: TaskFilter, caller: Principal) -> TaskPage:
        """List tasks, the newest first."""
        return tasks.find(caller.user, query)

    @routes.post("/", status=201, errors=(Conflict,))
    def create(
        body: TaskDraft, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> Reply[TaskView]:
        """Create a task."""
        task = tasks.create(caller.user, body, idempotency_key)
        return Reply(task.view(), etag=task.etag, headers={"Location": f"/api/tasks/{task.id}"})

    @routes.get("/<task_id>", errors=(NotFound,))
    def read(task_id: str, caller: Principal) -> Reply[TaskView]:
        """Read a task."""
        task = tasks.read(caller.user, task_id)
        return Reply(task.view(), etag=task.etag)

    @routes.patch("/<task_id>", errors=(NotFound, StaleVersion))
    def change(
        task_id: str, body: TaskPatch, caller: Principal, if_match: IfMatch = None
    ) -> Reply[TaskView]:
        """Change a task; with If-Match only when nobody changed it meanwhile."""
        task = tasks.change(caller.user, task_id, body, if_match)
        return Reply(task.view(), etag=task.etag)

    @routes.delete("/<task_id>", errors=(NotFound, StaleVersion))
    def delete(task_id: str, caller: Principal, if_match: IfMatch = None) -> None:
        """Delete a task; its pictures stay."""
        tasks.delete(caller.user, task_id, if_match)

    @routes.post("/<task_id>/attach-media", errors=(NotFound, Conflict))
    def attach_media(task_id: str, body: MediaReference, caller: Principal) -> Reply[TaskView]:
        """Attach a picture to a task."""
        task = tasks.attach(caller.user, task_id, body.media_id)
        return Reply(task.view(), etag=task.etag)

    @routes.delete("/<task_id>/detach-media/<media_id>", errors=(NotFound,))
    def detach_media(task_id: str, media_id: str, caller: Principal) -> None:
        """Detach a picture; the picture stays."""
        tasks.detach(caller.user, task_id, media_id)

    @routes.get("/<task_id>/with-media", errors=(NotFound,))
    def with_media(task_id: str, caller: Principal) -> TaskWithMedia:
        """Read a task with its pictures."""
        return tasks.with_media(caller.user, task_id)

    return routes
