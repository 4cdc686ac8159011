"""Layer (e): mypy over the program against the installed SDK.

The whole of pulumi_gcp is 290 MB of annotated source; a package of links to the parts in use takes
seconds instead of minutes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.fixtures.sources import ROOT
from tests.infra.recordings import python

_BASE = ("_inputs.py", "_utilities.py", "provider.py", "py.typed")
_CONFIG = """[mypy]
strict = True
python_version = 3.11
explicit_package_bases = True
namespace_packages = True
[mypy-pulumi_gcp.*]
follow_imports = silent
ignore_errors = True
"""


def errors(files: Iterable[Path], folder: Path, base: Path = ROOT) -> list[str]:
    """What mypy says of `files` below `base`; `folder` is for what it needs."""
    sdk = next(python().parents[1].glob("lib/python*/site-packages/pulumi_gcp"))
    package = folder / "typed" / "pulumi_gcp"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.pyi").touch()
    for name in (*_BASE, *used()):
        if not (package / name).is_symlink():
            (package / name).symlink_to(sdk / name)
    config = folder / "mypy.ini"
    config.write_text(_CONFIG)
    command = [sys.executable, "-m", "mypy", f"--config-file={config}"]
    command += [f"--python-executable={python()}", f"--cache-dir={ROOT}/.cache/mypy-infra"]
    done = subprocess.run(
        [*command, *map(str, files)],
        env={"MYPYPATH": f"{base}:{ROOT}:{package.parent}", "PATH": ""},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr or done.stdout
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def used() -> set[str]:
    """The parts of the SDK that the program imports."""
    found: set[str] = set()
    for path in (ROOT / "infra").glob("*.py"):
        for names in re.findall(r"^from pulumi_gcp import (.+)$", path.read_text(), re.MULTILINE):
            found |= {name.strip() for name in names.split(",")}
    return found
