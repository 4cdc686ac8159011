"""What runs on GitHub: the make targets, with pinned actions and no more rights than needed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures.sources import ROOT

FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Of actions, a full commit, and beside it the version that a person reads.
_PIN = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def steps(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    return [(job, step) for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_to_commits(path: Path) -> None:
    lines = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    assert lines
    assert [line for line in lines if not _PIN.fullmatch(line)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_make_targets_are_run_and_they_exist(path: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for _, step in steps(path):
        if "run" in step:
            make, target = step["run"].split()
            assert (make, target in targets) == ("make", True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_tests_run_without_a_token_and_tokens_without_a_fork(path: Path) -> None:
    whole = yaml.safe_load(path.read_text())
    assert whole["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in path.read_text()
    for job, step in steps(path):
        trusted = job.get("permissions", {}).get("id-token") == "write"
        assert not (trusted and step.get("run") == "make check")
        assert trusted or "secrets." not in str(step)
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False
        if trusted:
            assert "environment" in job
            own = "head.repo.full_name == github.repository" in job.get("if", "")
            assert own or "needs" in job


def test_a_deployment_comes_from_the_protected_branch_after_its_tests() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())["jobs"]
    assert jobs["check"]["if"] == "github.ref == 'refs/heads/main'"
    assert {"run": "make check"} in jobs["check"]["steps"]
    assert jobs["deploy"]["needs"] == "check"


def test_the_app_that_is_deployed_is_the_one_that_was_tested() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())["jobs"]
    uses = {job: [step.get("uses", step.get("run")) for step in jobs[job]["steps"]] for job in jobs}
    given, taken = jobs["check"]["steps"][-1], jobs["deploy"]["steps"][2]
    assert given["uses"].startswith("actions/upload-artifact@")
    assert taken["uses"].startswith("actions/download-artifact@")
    assert {(one["with"]["name"], one["with"]["path"]) for one in (given, taken)} == {
        ("web", "web/dist")
    }
    # `pulumi up` refuses an app that does not say of which sources it was made.
    assert given["with"]["include-hidden-files"] is True
    # Nothing but pinned actions runs where a token can be had, and the token comes last.
    assert not [one for one in uses["deploy"] if one.startswith("make")]
    assert "google-github-actions/auth" in uses["deploy"][3]
