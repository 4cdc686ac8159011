"""A small typed router: a handler's signature is its contract. Technical: knows no domain."""

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
