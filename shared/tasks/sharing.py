"""Who else sees a task: members by their user id, and invitations that work once.

Members stand in the task itself, so whoever reads the task reads with it whether he may, and a
removal holds for every read after its commit. A token's secret half is kept as a hash; its other
half is the invitation's id. Every token that does not work gets one and the same answer.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
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
)
from shared.errors import Conflict, Forbidden, NotFound, Unavailable
from shared.events.outbox import stored
from shared.ids import checked_id, new_id
from shared.tasks.access import Access
from shared.tasks.events import InvitationMade, InvitationRevoked, MemberRemoved, MemberSet
from shared.tasks.model import (
    MOST_INVITATIONS,
    MOST_MEMBERS,
    Invitations,
    InvitationTicket,
    InvitationView,
    Members,
    MemberView,
    RoleGiven,
    Task,
)
from shared.tasks.policy import MemberRole, may
from shared.tasks.service import once_of, remembered, utc_now
from shared.tasks.store import TaskStore

# Long enough for a mail to be read after a holiday week, short enough to be forgotten safely.
_INVITED_FOR = timedelta(days=7)
_ROUNDS = 8


class Sharing:
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

    def members(self, user: str, task_id: str) -> Members:
        """The owner first."""
        task = self._access.task(user, task_id, "read")
        others = (
            MemberView.model_construct(user=member, role=role)
            for member, role in sorted(_members(task).items())
        )
        owner = MemberView.model_construct(user=task.owner, role="owner")
        return Members.model_construct(items=(owner, *others))

    def set_member(
        self,
        user: str,
        task_id: str,
        member: str,
        role: MemberRole,
        if_match: str | None = None,
    ) -> Task:
        checked_id(member)

        def once(task: Task) -> Task:
            if member == task.owner:
                raise Conflict("The owner is no member of his own task")
            if _members(task).get(member) == role:
                return task
            return self._store.update(
                task, _with(task, member, role), self._set(user, task, member, role)
            )

        return self._access.on_present(user, task_id, "share", once, if_match)

    def remove(self, user: str, task_id: str, member: str) -> None:
        checked_id(member)
        was_there = False

        def once(task: Task) -> None:
            nonlocal was_there
            if member != user and not may(task.role(user), "share"):
                raise Forbidden("Only the owner removes others")
            if member not in _members(task):
                if was_there:
                    return
                raise NotFound
            was_there = True
            self._without(user, task, member)

        try:
            self._access.on_present(user, task_id, "remove-member", once)
        except NotFound:
            # Who leaves is a stranger in the next round, when his commit's answer was lost.
            if not was_there:
                raise

    def leave_all(self, member: str, limit: int) -> int:
        """Take `member` off other people's tasks; returns how many were found."""
        found = self._documents.query(
            "tasks", where=[("readers", "array-contains", f"shared:{member}")], limit=limit
        )
        for document in found:
            task = Task.from_document(document.id, document.data, document.version)
            self._without(member, task, member)
        return len(found)

    def invite(
        self, user: str, task_id: str, wanted: RoleGiven, key: str | None = None
    ) -> InvitationTicket:
        """Under a key the same invitation again, with another token: only the hash of the first
        one is known, and that one works no more."""
        kept = once_of(f"invite {task_id}", user, key, wanted, self._clock())
        invitation_id, secret = new_id(), secrets.token_urlsafe(32)

        def once(task: Task) -> InvitationTicket:
            now = self._clock()
            if len(self._open(task_id)) >= MOST_INVITATIONS:
                raise Conflict(f"A task has at most {MOST_INVITATIONS} open invitations")
            event = self._access.event(
                InvitationMade, user, task, invitation_id=invitation_id, role=wanted.role
            )
            data = {
                "task": task_id,
                "owner": task.owner,
                "role": wanted.role,
                "secret": _hashed(secret),
                "isOpen": True,
                "createdAt": now,
                "expireAt": now + _INVITED_FOR,
                "schemaVersion": 1,
            }
            writes: list[Write] = [
                Create(f"invitations/{invitation_id}", data),
                # A deletion meanwhile knows by it that there is something to erase.
                Update(f"tasks/{task_id}", {"invited": True}, version=task.version),
                stored(event),
            ]
            if kept is not None:
                writes.append(kept.write(invitation_id))
            try:
                self._documents.commit(writes)
            except AlreadyExists:
                made = remembered(self._store, kept) if kept is not None else None
                if made is None:
                    raise
                return self._renewed(made, secret)
            return _ticket(invitation_id, data, secret)

        return self._access.on_present(user, task_id, "share", once)

    def invitations(self, user: str, task_id: str) -> Invitations:
        self._access.task(user, task_id, "share")
        items = tuple(
            InvitationView.model_construct(
                id=one.id,
                role=one.data["role"],
                created_at=one.data["createdAt"],
                expires_at=one.data["expireAt"],
            )
            for one in sorted(self._open(task_id), key=lambda one: one.data["createdAt"])
        )
        return Invitations.model_construct(items=items)

    def revoke(self, user: str, task_id: str, invitation_id: str) -> None:
        checked_id(invitation_id)
        was_there = False

        def once(task: Task) -> None:
            nonlocal was_there
            found = self._documents.get(f"invitations/{invitation_id}")
            if found is None or found.data["task"] != task_id or not found.data["isOpen"]:
                if was_there and found is None:
                    return
                raise NotFound
            was_there = True
            event = self._access.event(InvitationRevoked, user, task, invitation_id=found.id)
            self._documents.commit([Delete(found.path, version=found.version), stored(event)])

        self._access.on_present(user, task_id, "share", once)

    def accept(self, user: str, token: str) -> Task:
        """The one who used a token before gets the same answer again while he is a member."""
        for _ in range(_ROUNDS):
            invitation = self._invitation(token)
            task = self._store.get(str(invitation.data["task"]))
            if task is None:
                raise _no_invitation()
            if not invitation.data["isOpen"]:
                if invitation.data["usedBy"] != user or task.role(user) is None:
                    raise _no_invitation()
                return task
            if task.owner == user:
                raise Conflict("This task is yours")
            try:
                return self._join(user, task, invitation)
            except PreconditionFailed:
                continue
        raise Unavailable("This task is being changed from many sides")

    def _join(self, user: str, task: Task, invitation: Document) -> Task:
        # Nobody loses by an invitation what he may already.
        role: MemberRole = invitation.data["role"]
        if _members(task).get(user) == "editor":
            role = "editor"
        fields = {"isOpen": False, "usedBy": user, "usedAt": self._clock()}
        used = Update(invitation.path, fields, version=invitation.version)
        event = self._set(user, task, user, role)
        return self._store.update(task, _with(task, user, role), event, used)

    def _invitation(self, token: str) -> Document:
        identifier, _, secret = token.partition(".")
        try:
            found = self._documents.get(f"invitations/{checked_id(identifier)}")
        except NotFound:
            found = None
        if found is None or not hmac.compare_digest(found.data["secret"], _hashed(secret)):
            raise _no_invitation()
        if found.data["expireAt"] <= self._clock():
            raise _no_invitation()
        return found

    def _renewed(self, invitation_id: str, secret: str) -> InvitationTicket:
        found = self._documents.get(f"invitations/{invitation_id}")
        if found is None or not found.data["isOpen"]:
            raise Conflict("What this Idempotency-Key made was used or revoked")
        changed = {"secret": _hashed(secret)}
        self._documents.commit([Update(found.path, changed, version=found.version)])
        return _ticket(invitation_id, found.data, secret)

    def _open(self, task_id: str) -> list[Document]:
        now = self._clock()
        found = self._documents.query(
            "invitations",
            where=[("task", "==", task_id), ("isOpen", "==", True)],
            limit=2 * MOST_INVITATIONS,
        )
        return [one for one in found if one.data["expireAt"] > now]

    def _without(self, user: str, task: Task, member: str) -> None:
        members = {one: role for one, role in _members(task).items() if one != member}
        event = self._access.event(MemberRemoved, user, task, member=member)
        self._store.update(task, {"members": members}, event)

    def _set(self, user: str, task: Task, member: str, role: MemberRole) -> MemberSet:
        return self._access.event(MemberSet, user, task, member=member, role=role)


def _members(task: Task) -> Mapping[str, MemberRole]:
    members: Mapping[str, MemberRole] = task.fields["members"]
    return members


def _with(task: Task, member: str, role: MemberRole) -> dict[str, Any]:
    members = {**_members(task), member: role}
    if len(members) > MOST_MEMBERS:
        raise Conflict(f"A task has at most {MOST_MEMBERS} members")
    return {"members": members}


def _ticket(identifier: str, data: Mapping[str, Any], secret: str) -> InvitationTicket:
    return InvitationTicket.model_construct(
        id=identifier,
        role=data["role"],
        token=f"{identifier}.{secret}",
        expires_at=data["expireAt"],
    )


def _hashed(secret: str) -> str:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _no_invitation() -> NotFound:
    return NotFound("This invitation was used, revoked, or never made")
