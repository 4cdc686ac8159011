"""A function's archive: main.py, its requirements, and exactly the files of shared/ that it loads.

`python -m tools.bundle [name ...]` writes .cache/bundles/<name>-<digest>.zip and prints the paths;
the Pulumi program does the same. The digest is over names and contents, so an unchanged function
keeps its archive's name and is not deployed again; the zip is stored with fixed times, which makes
it the same byte for byte on every machine.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

from tools.sources import ROOT, closure, functions

FOLDER = ROOT / ".cache" / "bundles"
# The first moment a zip can tell.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Sixty-four bits of SHA-256: two archives of one function will not share them.
_DIGITS = 16


def contents(name: str) -> dict[str, bytes]:
    """The archive's files by their path in it. Raises FileNotFoundError for no function."""
    folder = ROOT / "functions" / name
    main = folder / "main.py"
    loaded = closure(main)
    files = {"main.py": main.read_bytes(), "requirements.txt": _requirements(folder)}
    files["constraints.txt"] = (ROOT / "constraints.txt").read_bytes()
    for path in loaded - {main}:
        files[str(path.relative_to(ROOT))] = path.read_bytes()
        for beside in _data(path):
            files[str(beside.relative_to(ROOT))] = beside.read_bytes()
    return dict(sorted(files.items()))


def digest(files: dict[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(files.items()):
        whole.update(f"{name}\0{len(content)}\0".encode())
        whole.update(content)
    return whole.hexdigest()[:_DIGITS]


def bundle(name: str, folder: Path = FOLDER) -> Path:
    """Writes the archive unless it is there; returns its path."""
    files = contents(name)
    target = folder / f"{name}-{digest(files)}.zip"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
            for path, content in files.items():
                archive.writestr(_entry(path), content)
        unfinished.replace(target)
    return target


def _entry(path: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(path, _EPOCH)
    entry.create_system = 3
    entry.external_attr = 0o644 << 16
    return entry


def _requirements(folder: Path) -> bytes:
    """With our constraints, the build resolves what the tests ran with, not what is new today."""
    return b"-c constraints.txt\n" + (folder / "requirements.txt").read_bytes()


def _data(module: Path) -> list[Path]:
    """Files that a package keeps beside its modules, such as a word list."""
    return [
        path
        for path in module.parent.iterdir()
        if path.is_file() and path.suffix not in (".py", ".pyc", ".md")
    ]


def main(names: list[str]) -> None:
    for name in names or functions():
        print(bundle(name))


if __name__ == "__main__":
    main(sys.argv[1:])
