"""A small typed router: a handler's signature is its contract. Technical: knows no domain.

Each name is loaded when it is first asked for. A function of events takes the strict JSON and the
models from here, and would load a router that it never asks (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.http.app import App
    from shared.http.etags import etag_matches, if_none_match, parse_etags
    from shared.http.model import (
        Authenticator,
        Cookie,
        Header,
        Model,
        Principal,
        Reply,
        SessionCheck,
        UploadedFile,
    )
    from shared.http.routes import Route, Routes
    from shared.http.source import Source

__all__ = [
    "App",
    "Authenticator",
    "Cookie",
    "Header",
    "Model",
    "Principal",
    "Reply",
    "Route",
    "Routes",
    "SessionCheck",
    "Source",
    "UploadedFile",
    "etag_matches",
    "if_none_match",
    "parse_etags",
]

_MODULES = {
    "App": "app",
    "etag_matches": "etags",
    "if_none_match": "etags",
    "parse_etags": "etags",
    "Route": "routes",
    "Routes": "routes",
    "Source": "source",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'model')}"), name)
    globals()[name] = value
    return value
