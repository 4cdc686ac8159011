"""The arrows of our layout: who may import whom, and where a Google client may be named."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.fixtures.sources import ROOT, functions, imports, modules, ours, tree

DOMAINS = ("activity", "identity", "media", "tasks")
# Adapters: they alone know which service of Google's stands behind a Protocol of ours.
_ADAPTERS = {
    "shared/documents/connection.py",
    "shared/documents/firestore.py",
    "shared/events/pubsub.py",
    "shared/media/cloud_storage.py",
    "shared/secrets.py",
}


def within(path: Path) -> str:
    return str(path.relative_to(ROOT))


def domain_of(path: Path) -> str | None:
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "shared" and parts[1] in DOMAINS else None


def imported_files(path: Path) -> set[Path]:
    return {found for name in imports(path) if (found := ours(name)) is not None}


SHARED = modules("shared")


def test_every_package_is_a_domain_or_known_as_technical() -> None:
    folders = {path.name for path in (ROOT / "shared").iterdir() if (path / "__init__.py").exists()}
    assert folders == {*DOMAINS, "documents", "events", "http"}


@pytest.mark.parametrize("path", SHARED, ids=within)
def test_no_arrow_leads_to_another_domain(path: Path) -> None:
    """Technical modules know no domain; a domain knows no other."""
    allowed = {None, domain_of(path)}
    wrong = [within(file) for file in imported_files(path) if domain_of(file) not in allowed]
    assert wrong == []


@pytest.mark.parametrize("path", SHARED, ids=within)
def test_shared_code_imports_nothing_of_the_outer_rings(path: Path) -> None:
    tops = {name.partition(".")[0] for name in imports(path)}
    assert not tops & {"functions", "emulators", "infra", "tests", "tools"}


def test_http_and_documents_stand_alone() -> None:
    for folder, allowed in (
        ("http", {"http", "deadline.py", "errors.py"}),
        ("documents", {"documents", "access_token.py", "breaker.py", "errors.py", "grpc_api.py"}),
    ):
        for path in modules(f"shared/{folder}"):
            parts = {file.relative_to(ROOT / "shared").parts[0] for file in imported_files(path)}
            assert parts <= allowed | {"__init__.py"}, path


@pytest.mark.parametrize("path", SHARED, ids=within)
def test_only_adapters_name_a_google_client(path: Path) -> None:
    named = {name for name in imports(path) if name.split(".")[0] == "google"}
    assert bool(named) == (within(path) in _ADAPTERS), named


@pytest.mark.parametrize(
    "path", [path for path in SHARED if domain_of(path) is not None], ids=within
)
def test_a_domain_gets_values_and_reads_no_environment(path: Path) -> None:
    read = {name for name in imports(path) if name in ("os", "os.environ", "os.getenv")}
    assert read == set()


@pytest.mark.parametrize("name", functions())
def test_beside_main_stands_only_requirements(name: str) -> None:
    folder = ROOT / "functions" / name
    kept = {one.name for one in folder.iterdir()} - {"__pycache__"}
    assert kept == {"main.py", "requirements.txt"}
    entry = [node for node in tree(folder / "main.py").body if isinstance(node, ast.FunctionDef)]
    assert [node.name for node in entry] == [name]


@pytest.mark.parametrize("name", functions())
def test_collection_rests_while_a_function_is_imported_and_no_longer(name: str) -> None:
    """A tenth of the cold start; forgotten at the end, memory would grow for ever."""
    path = ROOT / "functions" / name / "main.py"
    calls = [ast.unparse(node) for node in tree(path).body if isinstance(node, ast.Expr)]
    assert calls[1] == "gc.disable()"
    assert calls[-2:] == ["gc.enable()", "gc.freeze()"]


def test_no_module_is_a_drawer_for_everything() -> None:
    names = {path.stem for folder in ("shared", "emulators", "infra") for path in modules(folder)}
    assert not names & {"utils", "util", "helpers", "common", "misc"}


@pytest.mark.parametrize("path", SHARED, ids=within)
def test_every_module_says_its_purpose_and_stays_readable(path: Path) -> None:
    text = path.read_text()
    assert not text or ast.get_docstring(tree(path))
    assert len(text.splitlines()) < 600
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name
