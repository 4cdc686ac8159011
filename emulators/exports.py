"""Keeps Firestore's documents over a restart: exports them, and finds the last whole export.

The emulator holds everything in memory. An export is written beside the last one and named as
the present one in a single rename, so a kill at any moment leaves a whole export behind; what
was written after it is gone then, as the README says.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import aiohttp

from emulators.official import OWNER
from emulators.plan import Plan

# Seconds. A developer's few thousand documents take well below one.
_PATIENCE = 30


class Exports:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._folder = plan.data / "firestore"
        self._pointer = self._folder / "present"

    def latest(self) -> Path | None:
        """The metadata file of the last export that was completed."""
        if not self._pointer.exists():
            return None
        name = self._pointer.read_text()
        metadata = self._folder / name / f"{name}.overall_export_metadata"
        return metadata if metadata.exists() else None

    async def make(self, session: aiohttp.ClientSession) -> None:
        """Raises OSError or aiohttp.ClientError when there is no whole export; the last stays."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = next(n for n in map(str, itertools.count(1)) if not (self._folder / n).exists())
        project = self._plan.project
        body = {
            "database": f"projects/{project}/databases/(default)",
            "export_directory": str(self._folder.resolve()),
            "export_name": name,
        }
        url = f"{self._plan.url('firestore')}/emulator/v1/projects/{project}:export"
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with session.post(url, json=body, headers=OWNER, timeout=timeout) as answer:
            answer.raise_for_status()
        part = self._pointer.with_suffix(".part")
        part.write_text(name)
        part.replace(self._pointer)
        self._discard_others(name)

    def _discard_others(self, name: str) -> None:
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name != name:
                shutil.rmtree(folder)
