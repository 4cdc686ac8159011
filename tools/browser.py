"""Make sure a Chromium is on the machine, for the tests that need a real browser.

Looks for Debian's `chromium` (or $CHROMIUM); where it is missing and this is a Debian machine
with root, installs it; else says what to do and fails, so that no browser test is ever skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Root needs --no-sandbox; the rest keeps a fresh profile from talking to anyone.
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """The path of an installed Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next((path for path in map(shutil.which, NAMES) if path), None)


def main() -> int:
    if find():
        return 0
    apt = shutil.which("apt-get")
    if apt and os.geteuid() == 0:
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run([apt, "update", "-q"], check=True, env=env, stdin=subprocess.DEVNULL)
        subprocess.run(
            [apt, "install", "-y", "-q", "--no-install-recommends", "chromium", "fonts-liberation"],
            check=True,
            env=env,
            stdin=subprocess.DEVNULL,
        )
        if find():
            return 0
    print(
        "No Chromium found. Install it (Debian: sudo apt-get install chromium) "
        "or name one in $CHROMIUM.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
