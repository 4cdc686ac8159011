"""Who may do what with a task: one matrix as data, one function that reads it.

Whoever is no member meets a missing task (404) in every case; a member who may not do something
knows that the task exists, so he is told (403). tests/product/operations.py says the same of each
route in its own words, and tries it.
"""

from __future__ import annotations

from typing import Literal

MemberRole = Literal["viewer", "editor"]
Role = Literal["owner", "editor", "viewer"]
Action = Literal[
    "read",
    "write",
    "attach",
    "comment",
    "moderate",
    "move",
    "delete",
    "share",
    "remove-member",
]

_ALL: frozenset[Role] = frozenset(("owner", "editor", "viewer"))
_WRITERS: frozenset[Role] = frozenset(("owner", "editor"))
_OWNER: frozenset[Role] = frozenset(("owner",))

MATRIX: dict[Action, frozenset[Role]] = {
    # The task, its pictures, comments, history and members.
    "read": _ALL,
    # Fields, cover, order of the pictures.
    "write": _WRITERS,
    # Each attaches own media only; whoever may write detaches any.
    "attach": _WRITERS,
    # Write a comment; change or delete one's own.
    "comment": _WRITERS,
    # Delete another's comment.
    "moderate": _OWNER,
    # The order of tasks by hand is the owner's list.
    "move": _OWNER,
    "delete": _OWNER,
    # Members and invitations.
    "share": _OWNER,
    # Anyone may leave; removing another takes "share" as well.
    "remove-member": _ALL,
}

ROUTES: dict[tuple[str, str], Action] = {
    ("GET", "/<task_id>"): "read",
    ("PATCH", "/<task_id>"): "write",
    ("DELETE", "/<task_id>"): "delete",
    ("PUT", "/<task_id>/position"): "move",
    ("POST", "/<task_id>/attach-media"): "attach",
    ("DELETE", "/<task_id>/detach-media/<media_id>"): "attach",
    ("PUT", "/<task_id>/media-order"): "write",
    ("GET", "/<task_id>/with-media"): "read",
    ("GET", "/<task_id>/comments"): "read",
    ("POST", "/<task_id>/comments"): "comment",
    ("PATCH", "/<task_id>/comments/<comment_id>"): "comment",
    ("DELETE", "/<task_id>/comments/<comment_id>"): "comment",
    ("GET", "/<task_id>/activity"): "read",
    ("GET", "/<task_id>/members"): "read",
    ("PUT", "/<task_id>/members/<user_id>"): "share",
    ("DELETE", "/<task_id>/members/<user_id>"): "remove-member",
    ("GET", "/<task_id>/invitations"): "share",
    ("POST", "/<task_id>/invitations"): "share",
    ("DELETE", "/<task_id>/invitations/<invitation_id>"): "share",
}


def may(role: Role | None, action: Action) -> bool:
    return role is not None and role in MATRIX[action]
