"""What media need to know of tasks; main.py passes in who knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class TaskUse(Protocol):
    def counts(self, media_ids: Sequence[str]) -> Mapping[str, int]:
        """On how many tasks each is; those that are on none may be missing."""
        ...

    def media_of(self, owner: str, task_id: str) -> Sequence[str]:
        """The media on a task of `owner`'s; none when there is no such task."""
        ...


class NoTasks:
    """For who shows pictures and no numbers of tasks."""

    def counts(self, media_ids: Sequence[str]) -> Mapping[str, int]:
        return {}

    def media_of(self, owner: str, task_id: str) -> Sequence[str]:
        return ()
