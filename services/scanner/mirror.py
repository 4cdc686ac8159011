"""`python -m services.scanner.mirror`: brings the mirror of signatures up to date, and ends.

freshclam begins with what the mirror has, so that it asks ClamAV's servers for differences only;
it tests what it got before it keeps it. What it kept is published even when it failed with another
file, and the job still fails then: signatures that grow old are told of by who uses them.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from shared.media.cloud_storage import CloudStorageObjects
from shared.media.signatures import Signatures
from shared.settings import SignatureSettings

HERE = Path(__file__).parent
# Seconds. The first run takes everything, 240 MB, and loads it once; later ones take one.
_PATIENCE = 900.0
_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """`arguments` go to freshclam; those here hold unless they say otherwise."""
    settings = SignatureSettings.read(os.environ)
    objects = CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint)
    configuration = arguments or [f"--config-file={HERE / 'freshclam.conf'}"]
    with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
        signatures = Signatures(objects, settings.signatures_bucket, Path(folder))
        signatures.fetch()
        command = ["freshclam", "--stdout", f"--datadir={folder}", *configuration]
        status = subprocess.run(command, timeout=_PATIENCE, check=False).returncode
        _log.warning("freshclam ended with %d; published: %s", status, signatures.publish())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
