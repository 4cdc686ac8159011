"""`python -m services.scanner.mirror`: brings the mirror of signatures up to date, and ends.

freshclam begins with what the mirror has, so that it asks ClamAV's servers for differences only;
it tests what it got before it keeps it. What it kept is published even when it failed with another
file, and the job still fails then: signatures that grow old are told of by who uses them.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shared.errors import Unavailable
from shared.media.cloud_storage import CloudStorageObjects
from shared.media.signatures import Signatures
from shared.settings import SignatureSettings

HERE = Path(__file__).parent
# Seconds. The first run takes everything, 240 MB, and loads it once; later ones take one.
_PATIENCE = 900.0
# Seconds: the first run comes with its grants, which take minutes to be known everywhere.
_WAIT = 600.0
_AGAIN = 10.0
# As timeout(1) says it.
TOO_SLOW = 124
_log = logging.getLogger(__name__)


def fetch(signatures: Signatures, wait: float) -> None:
    """Raises Unavailable when the mirror was out of reach for `wait` seconds."""
    end = time.monotonic() + wait
    while True:
        try:
            signatures.fetch()
            return
        except Unavailable as error:
            if time.monotonic() + _AGAIN > end:
                raise
            _log.warning("%s: once more in %d s", error, _AGAIN)
        time.sleep(_AGAIN)


def run(command: list[str], patience: float) -> int:
    """The command's status. One that is too slow is ended: what it kept until then is whole, and
    the next run begins with it instead of with nothing."""
    try:
        return subprocess.run(command, timeout=patience, check=False).returncode
    except subprocess.TimeoutExpired:
        return TOO_SLOW


def main(arguments: list[str]) -> int:
    """What is no option of ours is freshclam's, and in place of our configuration."""
    parser = argparse.ArgumentParser(prog="python -m services.scanner.mirror", description=__doc__)
    parser.add_argument("--wait", type=float, default=_WAIT, help="seconds for the mirror")
    parser.add_argument("--patience", type=float, default=_PATIENCE, help="seconds for freshclam")
    given, others = parser.parse_known_args(arguments)
    settings = SignatureSettings.read(os.environ)
    objects = CloudStorageObjects(settings.google_cloud_project, settings.storage_endpoint)
    configuration = others or [f"--config-file={HERE / 'freshclam.conf'}"]
    with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
        signatures = Signatures(objects, settings.signatures_bucket, Path(folder))
        fetch(signatures, given.wait)
        command = ["freshclam", "--stdout", f"--datadir={folder}", *configuration]
        status = run(command, given.patience)
        _log.warning("freshclam ended with %d; published: %s", status, signatures.publish())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
