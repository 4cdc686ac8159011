"""What happened to tasks. `owner` is whose task it is, `actor` who did it: with a shared task
they may differ. Ids and names of fields, never what a person wrote."""

from __future__ import annotations

from typing import ClassVar

from shared.events.model import Event


class TaskEvent(Event):
    task_id: str
    actor: str


class TaskCreated(TaskEvent):
    """The task exists."""

    type: ClassVar[str] = "snaptask.tasks.v1.created"


class TaskChanged(TaskEvent):
    """The named fields of the task were written."""

    type: ClassVar[str] = "snaptask.tasks.v1.changed"
    fields: tuple[str, ...] = ()


class TaskDeleted(TaskEvent):
    """Nobody sees the task, its comments and attachments any more; its pictures are not gone."""

    type: ClassVar[str] = "snaptask.tasks.v1.deleted"


class MediaAttached(TaskEvent):
    """The task carries the medium."""

    type: ClassVar[str] = "snaptask.tasks.v1.media-attached"
    media_id: str


class MediaDetached(TaskEvent):
    """The task no longer carries the medium, which is where it was."""

    type: ClassVar[str] = "snaptask.tasks.v1.media-detached"
    media_id: str


class CommentAdded(TaskEvent):
    type: ClassVar[str] = "snaptask.tasks.v1.comment-added"
    comment_id: str


class CommentChanged(TaskEvent):
    type: ClassVar[str] = "snaptask.tasks.v1.comment-changed"
    comment_id: str


class CommentDeleted(TaskEvent):
    type: ClassVar[str] = "snaptask.tasks.v1.comment-deleted"
    comment_id: str


class MemberSet(TaskEvent):
    """The person may do with the task what the role allows."""

    type: ClassVar[str] = "snaptask.tasks.v1.member-set"
    member: str
    role: str


class MemberRemoved(TaskEvent):
    """The person reaches nothing of the task any more."""

    type: ClassVar[str] = "snaptask.tasks.v1.member-removed"
    member: str


class InvitationMade(TaskEvent):
    type: ClassVar[str] = "snaptask.tasks.v1.invitation-made"
    invitation_id: str
    role: str


class InvitationRevoked(TaskEvent):
    type: ClassVar[str] = "snaptask.tasks.v1.invitation-revoked"
    invitation_id: str
