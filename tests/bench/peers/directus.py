"""Directus on SQLite with files on the disk, as its documentation starts it, without a container.

It needs Node 22, which npm's package `node` carries; both are installed once into .cache/ and
nowhere else. Its native modules are compiled there, against that Node, when npm has no build.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from emulators.plan import HOST, ROOT
from tests.fixtures.emulated import free_port

DIRECTUS, NODE = "12.4.0", "22.23.3"
VERSION = f"Directus {DIRECTUS} (SQLite, Node {NODE})"
EMAIL, PASSWORD = "admin@example.com", "correct horse battery"
_HOME = ROOT / ".cache" / "peers"
_NODE = _HOME / f"node-{NODE}" / "node_modules" / "node"
_DIRECTUS = _HOME / f"directus-{DIRECTUS}"
_CLI = _DIRECTUS / "node_modules" / "directus" / "cli.js"


@dataclass(frozen=True)
class Directus:
    """An installed one with a database of its own in `folder`; `start` runs it."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @contextmanager
    def start(self) -> Iterator[psutil.Popen]:
        """A process that will serve, and does not yet."""
        with (self.folder / "log").open("ab") as log:
            process = psutil.Popen(
                [_node(), str(_CLI), "start"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)

    def bootstrap(self) -> None:
        """Make the tables and the administrator."""
        command = [_node(), str(_CLI), "bootstrap"]
        subprocess.run(
            command, cwd=self.folder, env=self._environment(), check=True, stdout=subprocess.DEVNULL
        )

    def _environment(self) -> dict[str, str]:
        # Everything off that is not asked for: limits, telemetry and the log of each request.
        secret = self.folder.name.ljust(32, "x")
        return {
            "PATH": f"{_NODE / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.folder),
            "HOST": HOST,
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "KEY": secret,
            "SECRET": secret,
            "DB_CLIENT": "sqlite3",
            "DB_FILENAME": str(self.folder / "data.db"),
            "ADMIN_EMAIL": EMAIL,
            "ADMIN_PASSWORD": PASSWORD,
            "STORAGE_LOCATIONS": "local",
            "STORAGE_LOCAL_ROOT": str(self.folder / "uploads"),
            "EXTENSIONS_PATH": str(self.folder / "extensions"),
            "ACCESS_TOKEN_TTL": "1d",
            "RATE_LIMITER_ENABLED": "false",
            "CACHE_ENABLED": "false",
            "TELEMETRY": "false",
            "LOG_LEVEL": "error",
            "NODE_ENV": "production",
        }


def prepared(folder: Path) -> Directus:
    """Installed when it was not, with an empty database in `folder`."""
    _install()
    home = folder / f"directus-{secrets.token_hex(8)}"
    home.mkdir(parents=True)
    made = Directus(home, free_port())
    made.bootstrap()
    return made


def _node() -> str:
    return str(_NODE / "bin" / "node")


def _install() -> None:
    if not (_NODE / "bin" / "node").exists():
        _npm(_NODE.parents[1], f"node@{NODE}", dict(os.environ))
    if not (_DIRECTUS / "installed").exists():
        # Beside it stands a package without headers that begins with the same name.
        headers = next(_NODE.glob("node_modules/node-*/include")).parent
        path = f"{_NODE / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "npm_config_nodedir": str(headers)}
        _npm(_DIRECTUS, f"directus@{DIRECTUS}", environment)
        # Half an installation, of a run that was ended, is none.
        (_DIRECTUS / "installed").touch()


def _npm(home: Path, package: str, environment: dict[str, str]) -> None:
    print(f"installing {package} into {home.relative_to(ROOT)} (once)", flush=True)
    home.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", f"--prefix={home}"]
    subprocess.run([*command, package], cwd=home, env=environment, check=True)


TASKS: dict[str, Any] = {
    "collection": "tasks",
    "schema": {},
    "meta": {},
    "fields": [
        {
            "field": "id",
            "type": "uuid",
            "schema": {"is_primary_key": True},
            "meta": {"special": ["uuid"]},
        },
        {"field": "title", "type": "string", "schema": {}},
        {"field": "description", "type": "text", "schema": {}},
        {"field": "status", "type": "string", "schema": {"default_value": "open"}},
        {
            "field": "created",
            "type": "timestamp",
            "schema": {"is_indexed": True},
            "meta": {"special": ["date-created"]},
        },
    ],
}
"""The collection that a task of ours is, with an index for its order."""
