"""Imports of a library that wait until something of them is used (importlib's LazyLoader)."""

from __future__ import annotations

import importlib.util
import sys


def imported_later(name: str) -> None:
    """From now on `import name` runs the module only when one of its attributes is read; nothing
    changes when it was imported before."""
    if name in sys.modules:
        return
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(name)
    loader = importlib.util.LazyLoader(spec.loader)
    spec.loader = loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)
