"""`python -m tools.reconcile`: what does not fit together, on the running local cloud or a project.

Reports and changes nothing; `--repair` mends what can be mended, as the hourly job does, but from
here to the end at once. Ends with 1 when something is left.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from shared.errors import Unavailable
from shared.events.stuck import StuckEvents
from shared.media.reconcile import Surroundings, steps
from shared.media.store import MediaStore
from shared.reconcile import Finding, Reconciler, Step
from shared.tasks.reconcile import StrayAttachments, TaskCounts
from tools.cloud import Cloud, NotRunning, add_options, connected


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.reconcile", description=__doc__)
    add_options(parser)
    parser.add_argument("--repair", action="store_true", help="mend what can be mended")
    options = parser.parse_args(arguments)
    try:
        with connected(options) as cloud:
            return 1 if _told(_findings(_reconciler(cloud), options.repair)) else 0
    except (NotRunning, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1


def _findings(reconciler: Reconciler, repair: bool) -> Iterable[Finding]:
    return reconciler.mend(float("inf")) if repair else reconciler.report()


def _told(findings: Iterable[Finding]) -> int:
    """How many are left."""
    count = left = 0
    for finding in findings:
        count += 1
        left += not finding.repaired
        print(f"{finding.kind:<18} {finding.subject}  {'repaired' if finding.repaired else ''}")
    print(f"{count} found, {count - left} repaired")
    return left


def _reconciler(cloud: Cloud) -> Reconciler:
    documents = cloud.documents
    redrive = cloud.publisher("snaptask-redrive")
    around = Surroundings(documents, cloud.objects, cloud.buckets, redrive)
    attachments = StrayAttachments(documents, MediaStore(documents))
    whole: list[Step] = [TaskCounts(documents), attachments, StuckEvents(documents)]
    return Reconciler(documents, [*steps(around), *whole])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
