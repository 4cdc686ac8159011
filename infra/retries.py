"""Which failures of a first deployment pass by themselves, and how long to wait for that."""

from __future__ import annotations

# What Google answers while an API or a grant is still spreading, never a refusal that lasts.
_SPREADING = (
    "has not been used in project",
    "is disabled",
    "Permission denied while using the Eventarc Service Agent",
    "does not exist",
    "Cannot find metric that matches",
)
# An asynchronous create that failed has left something behind; making it again would collide.
_LEFT_BEHIND = ("Error waiting for", "Error waiting to create")
# Seconds; eleven minutes in all, as a new metric may take ten to be known to alerts.
_WAITS = (10, 20, 40, 60, 90, 120, 120, 120, 120)


def worth_another_try(operation: str, errors: list[str]) -> bool:
    """Whether a failure, the newest first in `errors`, is one that passes by itself."""
    return (
        operation == "create"
        and 0 < len(errors) <= len(_WAITS)
        and not any(text in errors[0] for text in _LEFT_BEHIND)
        and any(text in errors[0] for text in _SPREADING)
    )


def wait_before(errors: list[str]) -> int:
    """Seconds before the next try."""
    return _WAITS[len(errors) - 1]
