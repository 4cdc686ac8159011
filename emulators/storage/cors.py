"""A bucket's CORS rules, applied as the real service applies them to the XML API.

A rule counts when it names the origin (or `*`) and the method; of several the first that matches.
A page may read only the answer headers that the rule lists beside the safelisted ones. The JSON
API does not look at the bucket's rules: it answers every origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_JSON_METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD"


def answer_headers(bucket: Mapping[str, Any], origin: str | None, method: str) -> dict[str, str]:
    """What lets a page of `origin` read an answer or a refusal; empty when it may not."""
    rule = _rule(bucket, origin, method)
    if not rule or not origin:
        return {}
    exposed = ", ".join(rule.get("responseHeader") or ())
    headers = {"access-control-allow-origin": _allowed(rule, origin), "vary": "Origin"}
    return {**headers, "access-control-expose-headers": exposed} if exposed else headers


def preflight_headers(
    bucket: Mapping[str, Any], origin: str | None, method: str, asked: str
) -> dict[str, str]:
    """What answers an OPTIONS; empty when the request that it announces is not allowed."""
    rule = _rule(bucket, origin, method)
    if not rule or not origin:
        return {}
    known = {name.lower() for name in rule.get("responseHeader") or ()}
    wanted = [name.strip() for name in asked.split(",") if name.strip()]
    if "*" not in known and not all(name.lower() in known for name in wanted):
        return {}
    return {
        "access-control-allow-origin": _allowed(rule, origin),
        "access-control-allow-methods": ", ".join(rule.get("method") or ()),
        "access-control-allow-headers": ", ".join(wanted),
        "access-control-max-age": str(rule.get("maxAgeSeconds", 3600)),
        "vary": "Origin",
    }


def session_bucket(bucket: Mapping[str, Any], session_origin: str | None) -> dict[str, Any]:
    """The rules of a resumable session: the bucket's, for the origin that started it only."""
    if not session_origin:
        return {"cors": []}
    rules = [
        {**rule, "origin": [session_origin], "method": ["*"]}
        for rule in bucket.get("cors") or ()
        if session_origin in rule.get("origin", ()) or "*" in rule.get("origin", ())
    ]
    return {"cors": rules}


def json_headers(origin: str | None) -> dict[str, str]:
    if not origin:
        return {}
    exposed = "Content-Length, Content-Range, Content-Type, ETag, Location, Range, X-Goog-Hash"
    return {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": exposed,
        "vary": "Origin",
    }


def json_preflight(origin: str | None, asked: str) -> dict[str, str]:
    return {
        **json_headers(origin),
        "access-control-allow-methods": _JSON_METHODS,
        "access-control-allow-headers": asked,
        "access-control-max-age": "3600",
    }


def _rule(bucket: Mapping[str, Any], origin: str | None, method: str) -> Mapping[str, Any] | None:
    for rule in bucket.get("cors") or () if origin else ():
        origins, methods = rule.get("origin") or (), rule.get("method") or ()
        if (origin in origins or "*" in origins) and (method in methods or "*" in methods):
            found: Mapping[str, Any] = rule
            return found
    return None


def _allowed(rule: Mapping[str, Any], origin: str) -> str:
    return "*" if "*" in rule["origin"] else origin
