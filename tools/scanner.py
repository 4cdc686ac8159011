"""Make sure that clamd is on the machine, for the tests that ask a real virus scanner.

Where it is missing and this is a Debian machine with root, it is installed. Elsewhere the tests of
the real one are skipped and say so; all others run over the local cloud's stand-in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from emulators.scanner import find


def main() -> int:
    if find():
        return 0
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        install = [apt, "install", "-y", "-q", "--no-install-recommends", "clamav-daemon"]
        for command in ([apt, "update", "-q"], install):
            subprocess.run(command, check=True, env=env, stdin=subprocess.DEVNULL)
    if not find():
        print(
            "No clamd found: the tests of the real virus scanner are skipped. "
            "Install it (Debian: sudo apt-get install clamav-daemon) to run them.",
            file=sys.stderr,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
