"""The routes of tasks. What each may be called by stands in policy.py."""

from __future__ import annotations

from typing import Annotated

from shared.errors import Conflict, Forbidden, NotFound, OverQuota, StaleVersion
from shared.http import Header, Principal, Reply, Routes
from shared.tasks.comments import Comment, Comments
from shared.tasks.model import (
    BulkChange,
    BulkDelete,
    CommentPage,
    CommentText,
    CommentView,
    History,
    Invitations,
    InvitationTicket,
    InvitationToken,
    MediaOrder,
    MediaReference,
    Members,
    Outcomes,
    PageQuery,
    Place,
    RoleGiven,
    Task,
    TaskDraft,
    TaskFilter,
    TaskPage,
    TaskPatch,
    TaskView,
    TaskWithMedia,
)
from shared.tasks.pictures import TaskPictures
from shared.tasks.service import TaskService
from shared.tasks.sharing import Sharing

IfMatch = Annotated[str | None, Header("If-Match")]
IdempotencyKey = Annotated[str | None, Header("Idempotency-Key")]


def routes(
    tasks: TaskService, pictures: TaskPictures, comments: Comments, sharing: Sharing
) -> Routes:
    table = Routes(tag="tasks")
    _task_routes(table, tasks)
    _bulk_routes(table, tasks)
    _picture_routes(table, pictures)
    _comment_routes(table, comments)
    _member_routes(table, sharing)
    _invitation_routes(table, sharing)
    return table


def _task_routes(routes: Routes, tasks: TaskService) -> None:
    @routes.get("/")
    def find(query: TaskFilter, caller: Principal) -> TaskPage:
        """List tasks, the newest first."""
        return tasks.find(caller.user, query)

    @routes.post("/", status=201, errors=(NotFound, Conflict, OverQuota))
    def create(
        body: TaskDraft, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> Reply[TaskView]:
        """Create a task."""
        task = tasks.create(caller.user, body, idempotency_key)
        place = f"/api/tasks/{task.id}"
        return Reply(task.view(caller.user), etag=task.etag, headers={"Location": place})

    @routes.get("/<task_id>", errors=(NotFound,))
    def read(task_id: str, caller: Principal) -> Reply[TaskView]:
        """Read a task."""
        return _reply(tasks.read(caller.user, task_id), caller)

    @routes.patch("/<task_id>", errors=(Forbidden, NotFound, Conflict, StaleVersion))
    def change(
        task_id: str, body: TaskPatch, caller: Principal, if_match: IfMatch = None
    ) -> Reply[TaskView]:
        """Change a task; with If-Match only when nobody changed it meanwhile."""
        return _reply(tasks.change(caller.user, task_id, body, if_match), caller)

    @routes.put("/<task_id>/position", errors=(Forbidden, NotFound, Conflict, StaleVersion))
    def move(
        task_id: str, body: Place, caller: Principal, if_match: IfMatch = None
    ) -> Reply[TaskView]:
        """Move a task in the order by hand."""
        return _reply(tasks.move(caller.user, task_id, body, if_match), caller)

    @routes.delete("/<task_id>", errors=(Forbidden, NotFound, StaleVersion))
    def delete(task_id: str, caller: Principal, if_match: IfMatch = None) -> None:
        """Delete a task; its pictures stay."""
        tasks.delete(caller.user, task_id, if_match)

    @routes.get("/<task_id>/activity", errors=(NotFound,))
    def activity(task_id: str, query: PageQuery, caller: Principal) -> History:
        """List what happened to a task, the newest first.
        Entries appear some seconds after the fact."""
        return tasks.history(caller.user, task_id, query)


def _bulk_routes(routes: Routes, tasks: TaskService) -> None:
    # Both name what is to be, so asking again does no more: the key is taken and not needed.
    @routes.post("/bulk-delete")
    def delete_many(
        body: BulkDelete, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> Outcomes:
        """Delete up to 100 tasks, and say what became of each."""
        return tasks.delete_many(caller.user, body.ids)

    @routes.post("/bulk-change")
    def change_many(
        body: BulkChange, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> Outcomes:
        """Set the status of up to 100 tasks, and say what became of each."""
        patch = TaskPatch(status=body.status)
        return tasks.change_many(caller.user, body.ids, patch)


def _picture_routes(routes: Routes, pictures: TaskPictures) -> None:
    @routes.post("/<task_id>/attach-media", errors=(Forbidden, NotFound, Conflict))
    def attach_media(
        task_id: str,
        body: MediaReference,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
    ) -> Reply[TaskView]:
        """Attach a picture, or several, to a task."""
        return _reply(pictures.attach(caller.user, task_id, body, idempotency_key), caller)

    @routes.delete("/<task_id>/detach-media/<media_id>", errors=(Forbidden, NotFound))
    def detach_media(task_id: str, media_id: str, caller: Principal) -> None:
        """Detach a picture; the picture stays."""
        pictures.detach(caller.user, task_id, media_id)

    @routes.put("/<task_id>/media-order", errors=(Forbidden, NotFound, Conflict, StaleVersion))
    def order_media(
        task_id: str, body: MediaOrder, caller: Principal, if_match: IfMatch = None
    ) -> Reply[TaskView]:
        """Put the pictures of a task into another order."""
        return _reply(pictures.order(caller.user, task_id, body, if_match), caller)

    @routes.get("/<task_id>/with-media", errors=(NotFound,))
    def with_media(task_id: str, caller: Principal) -> TaskWithMedia:
        """Read a task with its pictures."""
        return pictures.shown(caller.user, task_id)


def _comment_routes(routes: Routes, comments: Comments) -> None:
    @routes.get("/<task_id>/comments", errors=(NotFound,))
    def find_comments(task_id: str, query: PageQuery, caller: Principal) -> CommentPage:
        """List the comments on a task, the oldest first."""
        return comments.find(caller.user, task_id, query)

    @routes.post("/<task_id>/comments", status=201, errors=(Forbidden, NotFound, Conflict))
    def add_comment(
        task_id: str,
        body: CommentText,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
    ) -> Reply[CommentView]:
        """Comment on a task."""
        comment = comments.add(caller.user, task_id, body, idempotency_key)
        place = f"/api/tasks/{task_id}/comments/{comment.id}"
        return Reply(comment.view(), etag=comment.etag, headers={"Location": place})

    @routes.patch("/<task_id>/comments/<comment_id>", errors=(Forbidden, NotFound, StaleVersion))
    def change_comment(
        task_id: str,
        comment_id: str,
        body: CommentText,
        caller: Principal,
        if_match: IfMatch = None,
    ) -> Reply[CommentView]:
        """Change a comment of one's own."""
        comment = comments.change(caller.user, task_id, comment_id, body, if_match)
        return _comment_reply(comment)

    @routes.delete("/<task_id>/comments/<comment_id>", errors=(Forbidden, NotFound, StaleVersion))
    def delete_comment(
        task_id: str, comment_id: str, caller: Principal, if_match: IfMatch = None
    ) -> None:
        """Delete a comment: one's own, or any on a task of one's own."""
        comments.delete(caller.user, task_id, comment_id, if_match)


def _member_routes(routes: Routes, sharing: Sharing) -> None:
    @routes.get("/<task_id>/members", errors=(NotFound,))
    def members(task_id: str, caller: Principal) -> Members:
        """List who sees a task, the owner first."""
        return sharing.members(caller.user, task_id)

    @routes.put(
        "/<task_id>/members/<user_id>", errors=(Forbidden, NotFound, Conflict, StaleVersion)
    )
    def set_member(
        task_id: str,
        user_id: str,
        body: RoleGiven,
        caller: Principal,
        if_match: IfMatch = None,
    ) -> Reply[TaskView]:
        """Share a task with somebody, or give him another role."""
        task = sharing.set_member(caller.user, task_id, user_id, body.role, if_match)
        return _reply(task, caller)

    @routes.delete("/<task_id>/members/<user_id>", errors=(Forbidden, NotFound))
    def remove_member(task_id: str, user_id: str, caller: Principal) -> None:
        """Remove somebody from a task, or leave it oneself."""
        sharing.remove(caller.user, task_id, user_id)


def _invitation_routes(routes: Routes, sharing: Sharing) -> None:
    @routes.post("/<task_id>/invitations", status=201, errors=(Forbidden, NotFound, Conflict))
    def invite(
        task_id: str,
        body: RoleGiven,
        caller: Principal,
        idempotency_key: IdempotencyKey = None,
    ) -> InvitationTicket:
        """Make an invitation that works once, for seven days."""
        return sharing.invite(caller.user, task_id, body, idempotency_key)

    @routes.get("/<task_id>/invitations", errors=(Forbidden, NotFound))
    def invitations(task_id: str, caller: Principal) -> Invitations:
        """List the open invitations to a task."""
        return sharing.invitations(caller.user, task_id)

    @routes.delete("/<task_id>/invitations/<invitation_id>", errors=(Forbidden, NotFound))
    def revoke(task_id: str, invitation_id: str, caller: Principal) -> None:
        """Take an invitation back."""
        sharing.revoke(caller.user, task_id, invitation_id)

    @routes.post("/invitations/accept", errors=(NotFound, Conflict))
    def accept(
        body: InvitationToken, caller: Principal, idempotency_key: IdempotencyKey = None
    ) -> Reply[TaskView]:
        """Become a member by an invitation's token."""
        return _reply(sharing.accept(caller.user, body.token), caller)


def _reply(task: Task, caller: Principal) -> Reply[TaskView]:
    return Reply(task.view(caller.user), etag=task.etag)


def _comment_reply(comment: Comment) -> Reply[CommentView]:
    return Reply(comment.view(), etag=comment.etag)
