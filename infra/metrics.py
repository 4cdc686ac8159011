"""What is read out of the functions' log lines; a test compares it with the lines they write.

Built-in metrics are preferred: a new log-based one is unknown to alerts for up to ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFIX = "logging.googleapis.com/user/"
# Seconds in which an upload is settled, an unpublished event waits, a file waits for its verdict:
# by 15 minutes Eventarc has tried three times and more (10 s doubled up to 600).
SETTLED, UNPUBLISHED, UNSCANNED = 60.0, 300.0, 900.0
# Up to a day, each bound twice the one before. What is compared with is a bound itself: percentiles
# and cuts are interpolated within a bucket, so any other limit would be off by up to half.
BOUNDS = sorted({float(2**power) / 4 for power in range(20)} | {SETTLED, UNPUBLISHED, UNSCANNED})
# What the reconciler calls bytes that somebody was told are safe and that are gone.
LOST = ("lost-upload", "missing-original")


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
        "snaptask_uploads",
        'jsonPayload.signal="upload.settled"',
        "uploads that came to their end, ready or rejected",
    ),
    LogMetric(
        "snaptask_scan_seconds",
        'jsonPayload.signal="scan.waiting"',
        "how long the oldest medium without a verdict had been in scanning when it was looked at",
        "seconds",
    ),
    LogMetric(
        "snaptask_old_signatures",
        'jsonPayload.signal="signatures.old"',
        "looks at which a scanner's newest signatures were older than three days",
    ),
    LogMetric(
        "snaptask_findings",
        'jsonPayload.signal="reconciler.found"',
        "what the reconciler found that does not fit, by kind, and whether it could mend it",
        labels=("kind", "outcome"),
    ),
    LogMetric(
        "snaptask_problems",
        'jsonPayload.problem!=""',
        "refusals and failures by their slug, as the client saw them",
        labels=("service", "problem"),
    ),
)
