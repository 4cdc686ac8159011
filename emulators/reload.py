"""Tells which source folders changed, by looking at the files' times: no watcher to install,
and the same on every file system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class Changes:
    def __init__(self, folders: Iterable[Path]) -> None:
        self._seen = {folder: _state(folder) for folder in set(folders)}

    def since_last(self) -> set[Path]:
        """The folders in which a file came, went or changed since the last call."""
        present = {folder: _state(folder) for folder in self._seen}
        changed = {folder for folder, state in present.items() if state != self._seen[folder]}
        self._seen = present
        return changed


def _state(folder: Path) -> dict[Path, int]:
    state = {}
    for path in folder.rglob("*"):
        # What Python compiles is no change, nor that a folder got a place for it.
        if "__pycache__" in path.parts or path.is_dir():
            continue
        try:
            state[path] = path.stat().st_mtime_ns
        except FileNotFoundError:
            # An editor that saves by renaming takes the old file away for a moment.
            continue
    return state
