"""`python -m tools.reprocess`: renditions of an older recipe are made anew, from the originals.

Goes through the media in the order of their ids and says after each page from where it would go
on: `--after ID` does. Safe to end at any moment and to start twice (shared/media/rerender.py).
"""

from __future__ import annotations

import argparse
import sys

from shared.documents import Document
from shared.errors import Unavailable
from shared.events.outbox import Outbox
from shared.media.model import Medium
from shared.media.rerender import Rerender, is_outdated
from shared.media.store import MediaStore
from tools.cloud import Cloud, NotRunning, add_options, connected

# A picture takes a second of CPU, so a page takes one or two minutes.
_PAGE = 100


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.reprocess", description=__doc__)
    add_options(parser)
    parser.add_argument("--after", default="", help="the id behind which to begin")
    parser.add_argument("--dry-run", action="store_true", help="only count them")
    options = parser.parse_args(arguments)
    try:
        with connected(options) as cloud:
            return reprocess(cloud, options.after, dry_run=options.dry_run)
    except (NotRunning, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1


def reprocess(cloud: Cloud, after: str, *, dry_run: bool) -> int:
    """0 when none is left behind."""
    outbox = Outbox(cloud.documents, cloud.publisher("snaptask-events"))
    rerender = Rerender(MediaStore(cloud.documents), cloud.objects, outbox, cloud.buckets)
    outdated = done = 0
    while page := _page(cloud, after):
        for document in page:
            medium = Medium.from_document(document.id, document.data, document.version)
            if medium.state != "ready" or not is_outdated(medium):
                continue
            outdated += 1
            if not dry_run and rerender(medium):
                done += 1
            elif not dry_run:
                print(f"{medium.id} stays as it is", file=sys.stderr)
        after = page[-1].id
        print(f"{outdated} outdated, {done} made anew; goes on with --after {after}")
    return 0 if dry_run or done == outdated else 1


def _page(cloud: Cloud, after: str) -> list[Document]:
    return cloud.documents.query(
        "media",
        order=[("__name__", "ASCENDING")],
        start_after=[after] if after else None,
        limit=_PAGE,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
