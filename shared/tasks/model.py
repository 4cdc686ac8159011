"""What a task is, as the API takes it, gives it, and the store keeps it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from shared.http import Model
from shared.tasks import positions, search
from shared.tasks.policy import MemberRole, Role

Status = Literal["open", "doing", "done"]
Priority = Literal["low", "normal", "high"]

# A list of 20 tasks with the longest descriptions stays below half a megabyte.
_LONGEST_DESCRIPTION = 10_000
# What a task can show on one page; beyond it an album is meant, not a task.
MOST_PICTURES = 100
# A long discussion; a page of them is read at a time.
MOST_COMMENTS = 1000
_LONGEST_COMMENT = 4_000
# All of them stand in the task, which every list reads.
MOST_MEMBERS = 50
MOST_INVITATIONS = 50
# Three writes each: below the 500 of one commit.
MOST_AT_ONCE = 100
# The years that the app's date field takes, a day wider each, as its days begin in any zone. Two
# digits of a year meant something else, and beyond 9998 comes only what is never due (_NEVER).
_EARLIEST = datetime(1899, 12, 31, tzinfo=UTC)
_LATEST = datetime(9999, 1, 2, tzinfo=UTC)
# Hangul fillers and the Braille pattern without dots: letters and a symbol that draw nothing.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")


def _zoned(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("needs a time zone, such as Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        # In the years 1 and 9999 a zone can lead out of what a timestamp holds.
        raise ValueError("is beyond the calendar") from None


def _due(value: datetime) -> datetime:
    if not _EARLIEST <= value < _LATEST:
        raise ValueError("is not in the years 1900 to 9998")
    return value


def _seen(value: str) -> str:
    """With something in it that a person can see, so not of spaces, controls, marks that stand on
    nothing and the few letters that are blank. Source: Unicode, "General_Category Values"."""
    if not any(unicodedata.category(c)[0] in "LNPS" and c not in _BLANK for c in value):
        raise ValueError("needs a character that can be seen")
    return value


def _distinct(labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))


Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S"), AfterValidator(_seen)]
Description = Annotated[str, Field(max_length=_LONGEST_DESCRIPTION)]
Label = Annotated[str, Field(min_length=1, max_length=40, pattern=r"\S"), AfterValidator(_seen)]
Labels = Annotated[tuple[Label, ...], Field(max_length=20), AfterValidator(_distinct)]
Moment = Annotated[datetime, AfterValidator(_zoned)]
Due = Annotated[Moment, AfterValidator(_due)]


def _has_a_word(value: str) -> str:
    if not any(search.words(value)):
        raise ValueError("needs a letter or a digit")
    return value


# Ids are checked where they are used: one that cannot be ours is a missing one, not a wrong one.
Ids = Annotated[tuple[str, ...], Field(max_length=MOST_PICTURES), AfterValidator(_distinct)]
ManyIds = Annotated[
    tuple[str, ...], Field(min_length=1, max_length=MOST_AT_ONCE), AfterValidator(_distinct)
]


class TaskDraft(Model):
    """`mediaIds` are pictures that the task carries from the start."""

    title: Title
    description: Description = ""
    status: Status = "open"
    priority: Priority = "normal"
    labels: Labels = ()
    due_at: Due | None = None
    media_ids: Ids = ()


def _unsaid(schema: dict[str, Any]) -> None:
    """In a patch, a field left out is no default value, so the contract names none."""
    schema.pop("default", None)


class TaskPatch(Model):
    """Only what is given changes; `dueAt: null` takes the date away, `cover: null` the cover."""

    title: Title = Field("", json_schema_extra=_unsaid)
    description: Description = Field("", json_schema_extra=_unsaid)
    status: Status = Field("open", json_schema_extra=_unsaid)
    priority: Priority = Field("normal", json_schema_extra=_unsaid)
    labels: Labels = Field((), json_schema_extra=_unsaid)
    due_at: Due | None = Field(None, json_schema_extra=_unsaid)
    cover: str | None = Field(None, json_schema_extra=_unsaid)


class TaskFilter(Model):
    """All conditions together. `q` finds words of title, labels and description, without case
    and accents; its last word may be only begun. `dueTo` is the first moment not meant. Each
    order has its usual direction: newest, last changed, due soonest, topmost, most urgent and A
    first; a task without a date is due last. A page may hold fewer than `limit` and still have
    a next one."""

    scope: Literal["own", "shared", "all"] = "own"
    status: Annotated[tuple[Status, ...], Field(max_length=3)] = ()
    priority: Annotated[tuple[Priority, ...], Field(max_length=3)] = ()
    label: Annotated[tuple[Label, ...], Field(max_length=20)] = ()
    due_from: Moment | None = None
    due_to: Moment | None = None
    q: Annotated[str, Field(max_length=200), AfterValidator(_has_a_word)] | None = None
    sort: Literal["created", "updated", "due", "position", "priority", "title"] = "created"
    direction: Literal["asc", "desc"] | None = None
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class TaskView(Model):
    """`role` is the reader's. `position` sorts as text."""

    id: str
    owner: str
    role: Role
    title: str
    description: str
    status: Status
    priority: Priority
    labels: tuple[str, ...]
    due_at: datetime | None
    position: str
    cover: str | None
    media_count: int
    comment_count: int
    created_at: datetime
    updated_at: datetime


class TaskPage(Model):
    items: tuple[TaskView, ...]
    next_cursor: str | None


class MediaReference(Model):
    """One picture as `mediaId`, or several as `mediaIds`."""

    media_id: str | None = None
    media_ids: Annotated[Ids, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.media_id is None) == (self.media_ids is None):
            raise ValueError("give mediaId or mediaIds")
        return self

    @property
    def ids(self) -> tuple[str, ...]:
        return self.media_ids if self.media_ids is not None else (self.media_id or "",)


class MediaOrder(Model):
    """All pictures of the task, in their new order."""

    media_ids: Ids


class Place(Model):
    """Where a task goes in the order by hand: beside another one, or to an end."""

    before: str | None = None
    after: str | None = None
    to: Literal["first", "last"] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(one is not None for one in (self.before, self.after, self.to)) != 1:
            raise ValueError("give exactly one of before, after, to")
        return self


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


class BulkDelete(Model):
    ids: ManyIds


class BulkChange(Model):
    ids: ManyIds
    status: Status


class Outcome(Model):
    """`refused`: the task is shared with the caller, who may not do this to it."""

    id: str
    outcome: Literal["done", "not-found", "refused", "try-again"]


class Outcomes(Model):
    items: tuple[Outcome, ...]


class PageQuery(Model):
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class CommentText(Model):
    text: Annotated[
        str,
        Field(min_length=1, max_length=_LONGEST_COMMENT, pattern=r"\S"),
        AfterValidator(_seen),
    ]


class CommentView(Model):
    id: str
    author: str
    text: str
    created_at: datetime
    updated_at: datetime


class CommentPage(Model):
    items: tuple[CommentView, ...]
    next_cursor: str | None


class Happening(Model):
    """One entry of a task's history; ids and names of fields, never their contents."""

    id: str
    type: str
    actor: str | None
    occurred_at: datetime
    details: dict[str, str | list[str]]


class History(Model):
    items: tuple[Happening, ...]
    next_cursor: str | None


class RoleGiven(Model):
    role: MemberRole


class MemberView(Model):
    user: str
    role: Role


class Members(Model):
    items: tuple[MemberView, ...]


class InvitationTicket(Model):
    """`token` is shown this once; whoever sends it first becomes a member."""

    id: str
    role: MemberRole
    token: str
    expires_at: datetime


class InvitationView(Model):
    id: str
    role: MemberRole
    created_at: datetime
    expires_at: datetime


class Invitations(Model):
    items: tuple[InvitationView, ...]


class InvitationToken(Model):
    token: Annotated[str, Field(max_length=200)]


@dataclass(frozen=True, slots=True)
class Task:
    """A stored task. `version` is the store's, for a write that must meet this very state;
    `etag` is the id of the commit that made the state."""

    id: str
    owner: str
    fields: Mapping[str, Any]
    version: Any
    etag: str
    is_old: bool = False
    """Stored in an older form than `fields`; the next write of fields stores the present one."""

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        is_old = data.get("schemaVersion") != SCHEMA_VERSION
        if is_old:
            data = _upcast(identifier, data)
        return cls(identifier, str(data["owner"]), data, version, f'"{data["commitId"]}"', is_old)

    def role(self, user: str) -> Role | None:
        if user == self.owner:
            return "owner"
        role: MemberRole | None = self.fields["members"].get(user)
        return role

    def view(self, user: str) -> TaskView:
        return TaskView.model_construct(**self._values(user))

    def view_with(self, user: str, pictures: tuple[Picture, ...]) -> TaskWithMedia:
        return TaskWithMedia.model_construct(**self._values(user), media=pictures)

    def _values(self, user: str) -> dict[str, Any]:
        fields = self.fields
        return {
            "id": self.id,
            "owner": self.owner,
            "role": self.role(user),
            "title": fields["title"],
            "description": fields["description"],
            "status": fields["status"],
            "priority": fields["priority"],
            "labels": tuple(fields["labels"]),
            "due_at": fields["dueAt"],
            "position": fields["position"],
            "cover": fields["cover"],
            "media_count": fields["mediaCount"],
            "comment_count": fields["commentCount"],
            "created_at": fields["createdAt"],
            "updated_at": fields["updatedAt"],
        }


SCHEMA_VERSION = 3
# What a list reads; the words of the index and who asked for the task stay where they are.
LISTED = (
    "owner",
    "title",
    "description",
    "status",
    "priority",
    "labels",
    "dueAt",
    "dueKey",
    "priorityKey",
    "titleKey",
    "position",
    "cover",
    "mediaCount",
    "commentCount",
    "createdAt",
    "updatedAt",
    "members",
    "schemaVersion",
    "commitId",
)
_RANKS = {"high": "0", "normal": "1", "low": "2"}
_NEVER = datetime.max.replace(tzinfo=UTC)


def indexed(fields: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The fields that only queries use, made from the others; each write keeps them right."""
    members = fields["members"]
    return {
        "dueKey": fields["dueAt"] or _NEVER,
        # Among those of one priority the newest comes first.
        "priorityKey": _RANKS[fields["priority"]] + positions.backwards(fields["createdAt"]),
        "titleKey": search.sorting(fields["title"]),
        "tags": search.tags(fields),
        "words": search.word_terms(fields),
        "readers": [f"all:{owner}", *(f"{scope}:{m}" for m in members for scope in _SEEN)],
    }


_SEEN = ("all", "shared")


def _upcast(identifier: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A task of version 1 knew no order by hand, cover, comments or members, and none of version 2
    an order by priority and title."""
    fields: dict[str, Any] = {
        "position": positions.top(data["createdAt"], identifier),
        "cover": None,
        "commentCount": 0,
        "members": {},
        **data,
        "schemaVersion": SCHEMA_VERSION,
    }
    fields.update(indexed(fields, str(fields["owner"])))
    return fields
