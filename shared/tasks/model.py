"""What a task is, as the API takes it, gives it, and the store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from shared.events.model import Event
from shared.http import Model

Status = Literal["open", "doing", "done"]
Priority = Literal["low", "normal", "high"]

# A list of 20 tasks with the longest descriptions stays below half a megabyte.
_LONGEST_DESCRIPTION = 10_000
# What a task can show on one page; beyond it an album is meant, not a task.
MOST_PICTURES = 100


def _zoned(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, such as Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # In the years 1 and 9999 a zone can lead out of what a timestamp holds.
        raise ValueError("is beyond the calendar") from None


def _distinct(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))


Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Description = Annotated[str, Field(max_length=_LONGEST_DESCRIPTION)]
Label = Annotated[str, Field(min_length=1, max_length=40, pattern=r"\S")]
Labels = Annotated[tuple[Label, ...], Field(max_length=20), AfterValidator(_distinct)]
Moment = Annotated[datetime, AfterValidator(_zoned)]


class TaskDraft(Model):
    title: Title
    description: Description = ""
    status: Status = "open"
    priority: Priority = "normal"
    labels: Labels = ()
    due_at: Moment | None = None


def _unsaid(schema: dict[str, Any]) -> None:
    """In a patch, a field left out is no default value, so the contract names none."""
    schema.pop("default", None)


class TaskPatch(Model):
    """Only what is given changes; `dueAt: null` takes the date away."""

    title: Title = Field("", json_schema_extra=_unsaid)
    description: Description = Field("", json_schema_extra=_unsaid)
    status: Status = Field("open", json_schema_extra=_unsaid)
    priority: Priority = Field("normal", json_schema_extra=_unsaid)
    labels: Labels = Field((), json_schema_extra=_unsaid)
    due_at: Moment | None = Field(None, json_schema_extra=_unsaid)


class TaskFilter(Model):
    status: Status | None = None
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class TaskView(Model):
    id: str
    title: str
    description: str
    status: Status
    priority: Priority
    labels: tuple[str, ...]
    due_at: datetime | None
    media_count: int
    created_at: datetime
    updated_at: datetime


class TaskPage(Model):
    items: tuple[TaskView, ...]
    next_cursor: str | None


class MediaReference(Model):
    media_id: str


class Picture(Model):
    """A medium as a task shows it; `thumbnailUrl` is a signed URL that lives five minutes."""

    id: str
    state: str
    file_name: str
    content_type: str
    width: int | None
    height: int | None
    thumbnail_url: str | None


class TaskWithMedia(TaskView):
    media: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A stored task. `version` is the store's, for a write that must meet this very state;
    `etag` is the id of the commit that made the state."""

    id: str
    owner: str
    fields: Mapping[str, Any]
    version: Any
    etag: str

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        return cls(identifier, str(data["owner"]), data, version, f'"{data["commitId"]}"')

    def view(self) -> TaskView:
        return TaskView.model_construct(**self._values())

    def view_with(self, pictures: tuple[Picture, ...]) -> TaskWithMedia:
        return TaskWithMedia.model_construct(**self._values(), media=pictures)

    def _values(self) -> dict[str, Any]:
        fields = self.fields
        return {
            "id": self.id,
            "title": fields["title"],
            "description": fields["description"],
            "status": fields["status"],
            "priority": fields["priority"],
            "labels": tuple(fields["labels"]),
            "due_at": fields["dueAt"],
            "media_count": fields["mediaCount"],
            "created_at": fields["createdAt"],
            "updated_at": fields["updatedAt"],
        }


class TaskCreated(Event):
    """The task exists."""

    type: ClassVar[str] = "snaptask.tasks.v1.created"
    task_id: str


class TaskChanged(Event):
    """A field of the task has another value."""

    type: ClassVar[str] = "snaptask.tasks.v1.changed"
    task_id: str


class TaskDeleted(Event):
    """The task and its attachments are gone; its pictures are not."""

    type: ClassVar[str] = "snaptask.tasks.v1.deleted"
    task_id: str


class MediaAttached(Event):
    """The task carries the medium."""

    type: ClassVar[str] = "snaptask.tasks.v1.media-attached"
    task_id: str
    media_id: str


class MediaDetached(Event):
    """The task no longer carries the medium, which is where it was."""

    type: ClassVar[str] = "snaptask.tasks.v1.media-detached"
    task_id: str
    media_id: str
