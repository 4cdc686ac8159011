"""What our source files import, read from their syntax and never by running them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


@cache
def imports(path: Path) -> set[str]:
    """Dotted names, as deep as the statement says: `from a.b import c` is `a.b.c`. What only a
    type checker imports does not count, unless the module loads it when it is asked for (PEP 562);
    what `messages(package, name)` loads by name does."""
    found: set[str] = set()
    texts = _constants(tree(path))
    for node in _run(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: a relative import")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "messages":
            package = node.args[0]
            found.add(texts[package.id] if isinstance(package, ast.Name) else _text(package))
    return found


def _constants(module: ast.Module) -> dict[str, str]:
    return {
        target.id: _text(node.value)
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and isinstance(node.value, ast.Constant)
    }


def _text(node: ast.expr) -> str:
    if not isinstance(node, ast.Constant):
        raise ValueError(f"not a constant: {ast.unparse(node)}")
    return str(node.value)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    children = list(ast.iter_child_nodes(node))
    loads_later = any(getattr(child, "name", "") == "__getattr__" for child in children)
    for child in children:
        only_checked = (
            isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"
        )
        if only_checked and not loads_later:
            continue
        yield child
        yield from _run(child)


def ours(name: str) -> Path | None:
    """The file of ours that an imported name comes from, if it is one."""
    parts = name.split(".")
    for length in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:length])
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if length and file.is_file():
                return file
    return None


def closure(start: Path) -> set[Path]:
    """`start` and every file of ours that loads with it, packages' __init__ included."""
    seen: set[Path] = set()
    waiting = [start]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for name in imports(file):
            found = ours(name)
            if found is None:
                continue
            waiting.append(found)
            for parent in found.parents:
                if parent == ROOT:
                    break
                if (parent / "__init__.py").is_file():
                    waiting.append(parent / "__init__.py")
    return seen


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def functions() -> list[str]:
    return sorted(main.parent.name for main in (ROOT / "functions").glob("*/main.py"))
