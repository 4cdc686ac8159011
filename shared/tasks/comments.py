"""Comments on tasks: written by owner and editors, read by all members, changed by their author."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.documents import (
    AlreadyExists,
    Create,
    Delete,
    Document,
    DocumentStore,
    PreconditionFailed,
    Update,
    Write,
    cursors,
)
from shared.errors import Conflict, Forbidden, NotFound, StaleVersion
from shared.events.outbox import stored
from shared.http import etag_matches
from shared.ids import checked_id, new_id
from shared.tasks.access import Access
from shared.tasks.events import CommentAdded, CommentChanged, CommentDeleted
from shared.tasks.model import (
    MOST_COMMENTS,
    CommentPage,
    CommentText,
    CommentView,
    PageQuery,
    Task,
)
from shared.tasks.policy import may
from shared.tasks.service import once_of, remembered, utc_now
from shared.tasks.store import OLDEST_FIRST, TaskStore, counted


@dataclass(frozen=True, slots=True)
class Comment:
    id: str
    data: Any
    version: Any

    @property
    def author(self) -> str:
        return str(self.data["author"])

    @property
    def etag(self) -> str:
        return f'"{self.data["commitId"]}"'

    @property
    def path(self) -> str:
        return f"comments/{self.id}"

    def view(self) -> CommentView:
        return CommentView.model_construct(
            id=self.id,
            author=self.author,
            text=self.data["text"],
            created_at=self.data["createdAt"],
            updated_at=self.data["updatedAt"],
        )


class Comments:
    def __init__(
        self,
        documents: DocumentStore,
        store: TaskStore,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._documents = documents
        self._store = store
        self._clock = clock
        self._access = Access(store, clock)

    def add(self, user: str, task_id: str, text: CommentText, key: str | None = None) -> Comment:
        kept = once_of(f"comment {task_id}", user, key, text, self._clock())
        comment_id = new_id()

        def once(task: Task) -> Comment:
            if task.fields["commentCount"] >= MOST_COMMENTS:
                raise Conflict(f"A task takes at most {MOST_COMMENTS} comments")
            event = self._access.event(CommentAdded, user, task, comment_id=comment_id)
            data = {
                "task": task_id,
                "owner": task.owner,
                "author": user,
                "text": text.text,
                "createdAt": event.occurred_at,
                "updatedAt": event.occurred_at,
                "schemaVersion": 1,
            }
            writes: list[Write] = [
                Create(f"comments/{comment_id}", data),
                counted(task, "commentCount", 1, event),
                stored(event),
            ]
            if kept is not None:
                writes.append(kept.write(comment_id))
            try:
                commit_id = self._documents.commit(writes)
            except AlreadyExists:
                made = remembered(self._store, kept) if kept is not None else None
                if made is None:
                    raise
                return self._of(task_id, made) or _deleted()
            return Comment(comment_id, data | {"commitId": commit_id}, None)

        return self._access.on_present(user, task_id, "comment", once)

    def find(self, user: str, task_id: str, query: PageQuery) -> CommentPage:
        """The oldest first."""
        self._access.task(user, task_id, "read")
        bound = ("comments", user, task_id)
        after = cursors.decode(query.cursor, bound) if query.cursor else None
        found = self._documents.query(
            "comments",
            where=[("task", "==", task_id)],
            order=OLDEST_FIRST,
            start_after=after,
            limit=query.limit + 1,
        )
        page = [_comment(one) for one in found[: query.limit]]
        last = page[-1] if len(found) > len(page) else None
        return CommentPage.model_construct(
            items=tuple(one.view() for one in page),
            next_cursor=cursors.encode(last.data["createdAt"], last.id, bound) if last else None,
        )

    def change(
        self,
        user: str,
        task_id: str,
        comment_id: str,
        text: CommentText,
        if_match: str | None = None,
    ) -> Comment:
        def once(task: Task) -> Comment:
            comment = self._existing(task_id, comment_id)
            if comment.author != user:
                raise Forbidden("Only its author changes a comment")
            if if_match is not None and not etag_matches(if_match, comment.etag):
                raise StaleVersion
            event = self._access.event(CommentChanged, user, task, comment_id=comment_id)
            fields = {"text": text.text, "updatedAt": event.occurred_at}
            changed = Update(comment.path, fields, version=comment.version)
            commit_id = self._documents.commit([changed, *_held(task, user), stored(event)])
            return Comment(comment_id, {**comment.data, **fields, "commitId": commit_id}, None)

        return self._access.on_present(user, task_id, "comment", once)

    def delete(self, user: str, task_id: str, comment_id: str, if_match: str | None = None) -> None:
        was_there = False

        def once(task: Task) -> None:
            nonlocal was_there
            comment = self._of(task_id, comment_id)
            if comment is None:
                if was_there:
                    return
                raise NotFound
            if comment.author != user and not may(task.role(user), "moderate"):
                raise Forbidden("Only its author or the task's owner deletes a comment")
            if if_match is not None and not etag_matches(if_match, comment.etag):
                raise StaleVersion
            was_there = True
            event = self._access.event(CommentDeleted, user, task, comment_id=comment_id)
            gone = Delete(comment.path, version=comment.version)
            self._documents.commit([gone, counted(task, "commentCount", -1, event), stored(event)])

        self._access.on_present(user, task_id, "comment", once)

    def by_author(self, author: str, limit: int) -> list[tuple[str, Comment]]:
        """Comments somebody wrote, anywhere, each with its task's id."""
        found = self._documents.query("comments", where=[("author", "==", author)], limit=limit)
        return [(str(one.data["task"]), _comment(one)) for one in found]

    def withdraw(self, author: str, task: Task | None, comment: Comment) -> None:
        """Without asking who may: the author's account goes. Raises PreconditionFailed."""
        gone = Delete(comment.path, version=comment.version)
        if task is None:
            self._documents.commit([gone])
            return
        event = self._access.event(CommentDeleted, author, task, comment_id=comment.id)
        self._documents.commit([gone, counted(task, "commentCount", -1, event), stored(event)])

    def _existing(self, task_id: str, comment_id: str) -> Comment:
        comment = self._of(task_id, comment_id)
        if comment is None:
            raise NotFound
        return comment

    def _of(self, task_id: str, comment_id: str) -> Comment | None:
        document = self._documents.get(f"comments/{checked_id(comment_id)}")
        is_here = document is not None and document.data["task"] == task_id
        return _comment(document) if document is not None and is_here else None


def _held(task: Task, user: str) -> list[Write]:
    """For a member: the task as it was read, in which he is one."""
    return [] if user == task.owner else [Update(f"tasks/{task.id}", version=task.version)]


def _comment(document: Document) -> Comment:
    return Comment(document.id, document.data, document.version)


def _deleted() -> Comment:
    raise Conflict("What this Idempotency-Key made was deleted")


__all__ = ["Comment", "Comments", "PreconditionFailed"]
