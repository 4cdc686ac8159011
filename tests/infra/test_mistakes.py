"""What the layers are worth: realistic mistakes are made on purpose, and each must be caught.

The table of who caught what is printed (`pytest -s`); a mistake that nobody catches is a hole in
the layers, and one that the first deployment would fall into must never be among them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.sources import ROOT
from tests.infra import app_mistakes, charts, mistakes, rules, scan_mistakes, typed
from tests.infra.mistakes import ELSEWHERE, TRAPS, Mistake
from tests.infra.recordings import Recording, run
from tests.infra.stacks import PROD

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("infra")]
MISTAKES = (*mistakes.MISTAKES, *app_mistakes.MISTAKES, *scan_mistakes.MISTAKES)
_TRIAL = {**PROD, "snaptask:production": "false"}
# What of a mistake shows only in a stack of another kind.
_CONFIGS: Mapping[str, Mapping[str, str]] = {
    "everybody may call although the flag is off": {**PROD, "snaptask:publicInvocation": "false"},
    "the database stays behind": _TRIAL,
    "a pull request may deploy": _TRIAL,
    "a preview may change things": _TRIAL,
}


@pytest.mark.timeout(2400)
def test_every_mistake_is_caught(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots = [tree(tmp_path / "right")]
    roots += [made(one, tmp_path / f"m{number}") for number, one in enumerate(MISTAKES)]
    # At the end once more: what comes to be wrong meanwhile would catch every mistake from there.
    roots.append(tree(tmp_path / "right-again"))
    configs = [PROD, *(_CONFIGS.get(one.name, PROD) for one in MISTAKES), PROD]
    asked = [
        {"root": str(root), "stack": "prod", "config": config}
        for root, config in zip(roots, configs, strict=True)
    ]
    told = run("batch.py", told=asked)
    edited = [
        root / "infra" / f"{one.file}.py" for one, root in zip(MISTAKES, roots[1:-1], strict=True)
    ]
    types = typed.errors(edited, tmp_path / "types", tmp_path)
    layers = []
    for root, config, one in zip(roots, configs, told, strict=True):
        recording = Recording.from_json(config, one)
        layers.append(
            {
                "run": bool(one["error"]),
                "engine": bool(unlike(one["preview"], recording)),
                "schema": bool(one["schema"]),
                "hook": bool(one["hook"]),
                "rules": bool(rules.findings(recording) or charts.findings(recording)),
                "types": any(f"{root.name}/" in line for line in types),
            }
        )
    right = (layers.pop(0), layers.pop())
    report(layers, capsys)
    assert not any(found for one in right for found in one.values()), "the program itself is wrong"
    caught = zip(MISTAKES, layers, strict=True)
    assert [one.name for one, by in caught if not any(by.values())] == []


def unlike(preview: dict[str, Any], recording: Recording) -> list[str]:
    """What a preview by the engine makes of the program, where it is not what was recorded."""
    told = {tuple(one) for one in preview["names"]}
    seen = {(one.type, one.name) for one in recording.resources}
    return [
        *([preview["error"]] if preview["error"] else []),
        *preview["logged"],
        *(str(one) for one in told ^ seen if not preview["error"] and not recording.error),
        *(["no address"] if "api" not in preview["outputs"] else []),
        *(["no hook"] if preview["hooks"] != ["first-deploy"] else []),
    ]


def report(layers: list[dict[str, bool]], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        for one, caught in zip(MISTAKES, layers, strict=True):
            by = ", ".join(name for name, found in caught.items() if found) or "NOBODY"
            print(f"{'trap ' if one.trap else '     '}{one.name:<48} {by}")
        for name in layers[0]:
            print(f"{name}: {sum(caught[name] for caught in layers)} of {len(MISTAKES)}")


def tree(root: Path) -> Path:
    """The project with an infra of its own; the rest is the real one."""
    shutil.copytree(ROOT / "infra", root / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("functions", "shared", "tools", "web", "docs", "constraints.txt"):
        (root / name).symlink_to(ROOT / name)
    (ROOT / ".cache" / "bundles").mkdir(parents=True, exist_ok=True)
    (root / ".cache").mkdir()
    (root / ".cache" / "bundles").symlink_to(ROOT / ".cache" / "bundles")
    return root


def made(mistake: Mistake, root: Path) -> Path:
    path = tree(root) / "infra" / f"{mistake.file}.py"
    text = path.read_text()
    assert text.count(mistake.old) == 1, f"{mistake.name}: the place is no longer there"
    path.write_text(text.replace(mistake.old, mistake.new))
    return root


def test_there_are_enough_mistakes_and_no_two_are_one() -> None:
    assert len(MISTAKES) >= 40
    assert len({one.name for one in MISTAKES}) == len(MISTAKES)


def test_every_trap_is_made_as_a_mistake_or_held_by_a_test_of_its_own() -> None:
    made = {one.trap for one in MISTAKES} - {""}
    assert made | ELSEWHERE.keys() == TRAPS.keys()
    for file, name in ELSEWHERE.values():
        assert f"def {name}(" in (ROOT / file).read_text()


def test_the_line_before_the_first_up_is_documented() -> None:
    wanted = [f"{one}.googleapis.com" for one in ("cloudresourcemanager", "serviceusage", "iam")]
    page = (ROOT / "docs" / "deploy.md").read_text()
    line = f"gcloud services enable {' '.join(wanted)}\n"
    assert -1 < page.find(line) < page.find("\npulumi up\n")
