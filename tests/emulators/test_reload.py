"""What counts as a change of code, and what does not."""

from __future__ import annotations

import compileall
import os
from pathlib import Path

from emulators.reload import Changes


def test_a_file_that_comes_changes_or_goes_is_a_change_of_its_folder(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    changes = Changes([first, second])
    module = first / "package" / "module.py"
    module.parent.mkdir()
    module.write_text("x = 1")
    assert changes.since_last() == {first}
    # As writing to it does; twice within one tick of the clock would be one time.
    os.utime(module, ns=(1, 1))
    assert changes.since_last() == {first}
    module.unlink()
    assert changes.since_last() == {first}
    assert changes.since_last() == set()


def test_what_python_compiles_at_the_first_start_is_none(tmp_path: Path) -> None:
    """A fresh clone has no such files, and its functions would all start a second time."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "module.py").write_text("x = 1")
    changes = Changes([tmp_path])
    assert compileall.compile_dir(tmp_path, quiet=1)
    assert (tmp_path / "package" / "__pycache__").is_dir()
    assert changes.since_last() == set()
