"""What is read out of the functions' log lines; a test compares it with the lines they write.

Built-in metrics are preferred: a new log-based one is unknown to alerts for up to ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "logging.googleapis.com/user/"


@dataclass(frozen=True)
class LogMetric:
    """`field` is the number a distribution is made of; without one, lines are counted."""

    name: str
    where: str
    why: str
    field: str = ""
    labels: tuple[str, ...] = ()


METRICS = (
    LogMetric(
        "snaptask_outbox_seconds",
        'jsonPayload.signal="outbox.waiting"',
        "how long the oldest unpublished event had waited when the sweep came",
        "seconds",
    ),
    LogMetric(
        "snaptask_upload_seconds",
        'jsonPayload.signal="upload.settled"',
        "from the object's arrival to ready or rejected",
        "seconds",
    ),
    LogMetric(
        "snaptask_problems",
        'jsonPayload.problem!=""',
        "refusals and failures by their slug, as the client saw them",
        labels=("service", "problem"),
    ),
)
