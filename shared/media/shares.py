"""Media of others that a person reaches; main.py passes in who knows."""

from __future__ import annotations

from typing import Protocol


class Shares(Protocol):
    def attached_by(self, user: str, task_id: str, media_id: str) -> str | None:
        """Who put the medium on a task that `user` may read; None where nobody did, or he may
        not."""
        ...


class NoShares:
    """For who shows a person nothing but what is his own."""

    def attached_by(self, user: str, task_id: str, media_id: str) -> str | None:
        return None
