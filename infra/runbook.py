"""What whoever is woken by an alert needs: what it means, where to look, what to run.

Each alert carries its entry as documentation, so that it stands in the mail; docs/runbook.md is the
same as a page (`python -m infra.runbook`), and tests compare both with the alerts that are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """`run` are commands for a shell with `PROJECT` set, at the root of the repository."""

    title: str
    means: str
    look: str
    run: tuple[str, ...]

    @property
    def text(self) -> str:
        commands = "\n".join(self.run)
        return f"{self.means}\n\nLook at: {self.look}\n\n```\n{commands}\n```\n"


_REVISIONS = "gcloud run revisions list --service=tasks --region=$REGION --project=$PROJECT"
_RECONCILE = "python -m tools.reconcile --project $PROJECT"


def _lines(where: str) -> str:
    return f"gcloud logging read '{where}' --project=$PROJECT --freshness=1h --limit=20"


_FAULTS = _lines('resource.type="cloud_run_revision" severity>=ERROR')
# Of an objective that burns; its alerts differ in how fast.
OBJECTIVES: Mapping[str, Entry] = {
    "api-success": Entry(
        "API: answers without a fault",
        "More requests end with a 5xx than a month may have. A 503 with `Retry-After` is the API's"
        " own word that Firestore, a secret or a free place is missing; a 500 is a fault of ours.",
        "the charts of faults and of problems told to clients; what was deployed last; Google's"
        " status page for Firestore in the region.",
        (_FAULTS, _REVISIONS),
    ),
    "api-latency": Entry(
        "API: answers within 500 ms",
        "More requests are slow than a month may have: cold starts, a slow database, or too few"
        " instances.",
        "the charts of time to answer and of instances: slow together with many new instances"
        " means cold starts (`snaptask:minInstances`), slow alone means the database.",
        (_lines('resource.type="cloud_run_revision" jsonPayload.ms>500'), _REVISIONS),
    ),
    "upload-ready": Entry(
        "Uploads: settled within 60 s",
        "Files that arrived wait too long for ready or rejected: thumbnails has too few instances,"
        " its scanner is slow, or it fails and is tried again.",
        "the chart of arrived to settled; instances of thumbnails against its maximum; the lines of"
        " thumbnails.",
        (
            _lines('resource.labels.service_name="thumbnails" severity>=WARNING'),
            _RECONCILE,
        ),
    ),
}
ALERTS: Mapping[str, Entry] = {
    "dead-letters": Entry(
        "A message died: no acknowledged upload may be lost",
        "A consumer failed ten times with one event. It is kept, with its last error, until a"
        " person replays or drops it; nothing of it is lost.",
        "the last error of the letter, and the consumer's lines at that time. Mend the cause first:"
        " a replay of the same to the same code dies again.",
        (
            "python -m tools.deadletters --project $PROJECT list",
            "python -m tools.deadletters --project $PROJECT show ID",
            "python -m tools.deadletters --project $PROJECT replay ID",
        ),
    ),
    "lost": Entry(
        "A file that was taken is gone",
        "The promise that is never to break: bytes that somebody was told are safe are not where"
        " their medium says. `lost-upload` never got its verdict and left the inbox;"
        " `missing-original` was ready and is gone from the media bucket.",
        "the subjects of the findings, and who deleted from the bucket (Cloud Audit Logs). Deleted"
        " by name, an object stays for 30 days as an older version; by generation, for 7 days as"
        " soft-deleted. The finding comes again every round until the bytes are back.",
        (
            _RECONCILE,
            "gcloud storage ls --all-versions 'gs://'$PROJECT'-media/MEDIA_ID/**'",
            "gcloud storage cp gs://$PROJECT-media/NAME#GENERATION gs://$PROJECT-media/NAME",
            "gcloud storage ls --soft-deleted 'gs://'$PROJECT'-media/MEDIA_ID/**'",
            "gcloud storage restore gs://$PROJECT-media/NAME#GENERATION",
        ),
    ),
    "quota-drift": Entry(
        "An account's usage was not what its media add up to",
        "The sum in `usage` differed from the media it stands for, and was written anew. Nobody is"
        " harmed by then, but a commit moved one without the other: that is a fault of ours.",
        "the account of the finding, its media and audit records of the last hour, and what was"
        " deployed or done by hand since the finding before.",
        (
            _lines('jsonPayload.signal="reconciler.found" jsonPayload.kind="wrong-usage"'),
            _RECONCILE,
        ),
    ),
    "stuck-scan": Entry(
        "A file waits for its verdict for more than 15 minutes",
        "A medium stays in scanning: the scanner does not answer, or thumbnails fails with it. Its"
        " owner sees it as on its way. It recovers alone once the cause is gone: Eventarc tries"
        " again for a day, the reconciler tells the event again every hour.",
        "whether clamd answers (`SCANNER`), its memory and signatures; the lines of thumbnails, and"
        " with `snaptask:scannerImage` those of the service scanner: 403 is a missing grant.",
        (
            _lines('resource.labels.service_name="thumbnails" severity>=WARNING'),
            _RECONCILE,
            f"{_RECONCILE} --repair",
        ),
    ),
    "old-signatures": Entry(
        "The virus scanner's signatures are older than three days",
        "What is scanned is scanned with old signatures: newer viruses pass. ClamAV publishes once"
        " a day; the job signatures fetches twice a day and instances take it within minutes, so"
        " some of these runs failed, or an instance cannot read the mirror.",
        "the last runs of the job and what freshclam said: 429 is ClamAV's own limit and passes"
        " within a day, anything else does not; then the lines of the service scanner.",
        (
            "gcloud run jobs executions list --job=signatures --region=$REGION --project=$PROJECT",
            _lines('resource.type="cloud_run_job" resource.labels.job_name="signatures"'),
            # Those of clamd and of the first process are plain text, which has no severity.
            _lines('resource.labels.service_name="scanner"'),
            "gcloud run jobs execute signatures --region=$REGION --project=$PROJECT --wait",
        ),
    ),
    "stuck": Entry(
        "An event is not done after 15 minutes (scan, thumbnails, activity)",
        "A message is delivered and not acknowledged: its consumer fails, is too slow, or may not"
        " be called.",
        "which subscription it is, in the chart of the oldest message; the consumer's lines: 403 is"
        " a missing invoker's grant, 5xx its own failure.",
        (_FAULTS, "python -m tools.deadletters --project $PROJECT list"),
    ),
    "outbox": Entry(
        "Events wait unpublished for more than 5 minutes",
        "What was committed is not told: the sweep of the outbox does not run, or the topic"
        " refuses. Nothing is lost; audit records and pictures on tasks are late by as much.",
        "whether the scheduler's job outbox-sweep runs, and maintenance's lines: one event that"
        " no topic takes is named there.",
        (
            "gcloud scheduler jobs describe outbox-sweep --location=$REGION --project=$PROJECT",
            _lines('resource.labels.service_name="maintenance" severity>=WARNING'),
            _RECONCILE,
        ),
    ),
    "unreachable": Entry(
        "A function does not answer from outside",
        "More than one place on earth gets no good answer from a function's /health.",
        "with a domain: DNS, the certificate and the load balancer; without: whether everybody may"
        " call (`snaptask:publicInvocation`, the organisation's policy), and the last deployment.",
        ('curl --fail "$(pulumi stack output api)/auth/health"', _FAULTS, _REVISIONS),
    ),
}


def page() -> str:
    """All entries in Markdown."""
    parts = [
        "# What to do when an alert comes\n\nWritten by `python -m infra.runbook`, from what the"
        " alerts themselves carry; a test compares. `PROJECT` and `REGION` are those of the stack;"
        " the tools use your own credentials.\n"
    ]
    parts += [f"## {one.title}\n{one.text}" for one in ALERTS.values()]
    parts += [
        f"## {one.title}: the budget burns too fast\n{one.text}" for one in OBJECTIVES.values()
    ]
    return "\n".join(parts)


if __name__ == "__main__":
    print(page(), end="")
