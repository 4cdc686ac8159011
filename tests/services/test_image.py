"""The image cannot be built where these tests run, so all of it but FROM is checked by reading."""

from __future__ import annotations

import re
import shlex

from shared.settings import ScannerSettings, SignatureSettings
from tests.fixtures.sources import ROOT, closure

FOLDER = ROOT / "services" / "scanner"
DOCKERFILE = FOLDER / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """(instruction, rest), continued lines joined and comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, " ".join(rest.split()))
        for name, _, rest in (line.partition(" ") for line in text.splitlines())
        if name
    ]


def of(instruction: str) -> list[str]:
    return [rest for name, rest in instructions() if name == instruction]


def copies() -> list[tuple[list[str], str]]:
    """(what, whereto) of each."""
    found = [shlex.split(rest) for rest in of("COPY")]
    return [(sources, target) for *sources, target in found]


def copied() -> list[str]:
    return [source for sources, _ in copies() for source in sources]


def test_every_instruction_is_one_of_the_few_that_are_needed() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) == {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "CMD"}
    assert names[0] == "FROM"
    assert names.count("FROM") == 1


def test_what_is_copied_stands_there() -> None:
    assert copied()
    assert [source for source in copied() if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".gitignore").read_text().split()
    assert [source for source in copied() if f"{source}/" in ignored] == []


def test_all_that_the_service_and_its_job_load_is_in_the_image() -> None:
    loaded = {file for path in FOLDER.glob("*.py") for file in closure(path)}
    names = [str(file.relative_to(ROOT)) for file in loaded]
    inside = tuple(f"{source}/" for source in copied())
    assert [name for name in names if not name.startswith(inside)] == []


def test_the_base_is_debian_in_the_python_that_functions_run_on() -> None:
    from_text = of("FROM")[0]
    assert re.fullmatch(r"python:3\.12-slim-bookworm", from_text)
    cloud_functions = (ROOT / "infra" / "cloud_functions.py").read_text()
    assert 'RUNTIME = "python312"' in cloud_functions


def test_python_packages_have_their_versions_and_debians_a_reason() -> None:
    pip, apt = (next(rest for rest in of("RUN") if word in rest) for word in ("pip", "apt-get"))
    assert "-r requirements.txt -c constraints.txt" in pip
    assert {"constraints.txt", "services/scanner/requirements.txt"} <= set(copied())
    assert "--no-install-recommends clamav-daemon clamav-freshclam" in apt
    assert "Without versions: Debian's archive keeps only the newest" in DOCKERFILE.read_text()


def test_nobody_in_it_is_root() -> None:
    names = [name for name, _ in instructions()]
    assert of("USER") == ["clamav"]
    assert "RUN" not in names[names.index("USER") :]
    assert "COPY" not in names[names.index("USER") :]
    # Whom freshclam becomes, and clamd stays.
    assert "\nDatabaseOwner clamav\n" in (FOLDER / "freshclam.conf").read_text()
    assert "User " not in (FOLDER / "clamd.conf").read_text()


def test_it_starts_what_is_tested() -> None:
    assert of("CMD") == ['["python", "-m", "services.scanner.start"]']
    assert of("WORKDIR") == ["/app"]
    (environment,) = of("ENV")
    assert "PYTHONPATH=/app" in environment
    assert "/usr/sbin" in environment, "there Debian has clamd"


def test_no_secret_and_no_setting_is_in_it() -> None:
    text = DOCKERFILE.read_text()
    settings = {*ScannerSettings.model_fields, *SignatureSettings.model_fields}
    assert [name for name in settings if f"{name.upper()}=" in text] == []


def test_the_build_tags_what_it_is_told_to() -> None:
    text = (FOLDER / "cloudbuild.yaml").read_text()
    assert "--file=services/scanner/Dockerfile, --tag=$_IMAGE, .]" in text
    assert "images: [$_IMAGE]" in text


def test_the_documented_command_builds_it_and_says_that_nobody_has_yet() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    options = "--config=services/scanner/cloudbuild.yaml --substitutions=_IMAGE=$IMAGE"
    built = page.find(f"\ngcloud builds submit {options} .\n")
    assert -1 < built < page.find("\npulumi config set snaptask:scannerImage $IMAGE\n")
    assert "The image was never built where this was written" in page


def test_clamds_settings_are_those_of_the_decision() -> None:
    lines = (FOLDER / "clamd.conf").read_text().splitlines()
    settings = dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))
    page = (ROOT / "docs" / "decisions" / "2026-11-scanner.md").read_text()
    rows = re.findall(r"^\| `(.+?)` \| (\S+) \|", page, re.MULTILINE)
    told = {name: value for names, value in rows for name in names.split("`, `")}
    assert told
    assert {name: settings.get(name) for name in told} == told
