"""A bucket's CORS rules, applied to preflights, answers and refusals alike.

"Cross-origin resource sharing (CORS)" in the Cloud Storage documentation: the first rule whose
origins and methods match counts; a request that no rule matches is served all the same, only
without the headers that would let a page read the answer. `*` stands for any origin, method or
header; a `*` inside a longer text is not promised there, so it matches nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Rules = list[dict[str, Any]]


def preflight(rules: Rules, headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that answer an OPTIONS request; empty when no rule allows it."""
    origin = headers.get("origin", "")
    method = headers.get("access-control-request-method", "")
    asked = [
        name.strip().lower()
        for name in headers.get("access-control-request-headers", "").split(",")
        if name.strip()
    ]
    rule = _matching(rules, origin, method)
    if not rule or not all(_listed(name, rule) for name in asked):
        return {}
    answer = {
        **_origin(rule, origin),
        "access-control-allow-methods": ",".join(rule.get("method", [])),
        "access-control-max-age": str(rule.get("maxAgeSeconds", 3600)),
    }
    return {**answer, "access-control-allow-headers": ",".join(asked)} if asked else answer


def on_answer(rules: Rules, origin: str | None, method: str) -> dict[str, str]:
    """The headers that let a page of `origin` read the answer; empty when no rule does."""
    rule = _matching(rules, origin, method) if origin else None
    if not rule or not origin:
        return {}
    exposed = ", ".join(rule.get("responseHeader", []))
    answer = _origin(rule, origin)
    return {**answer, "access-control-expose-headers": exposed} if exposed else answer


def _matching(rules: Rules, origin: str, method: str) -> dict[str, Any] | None:
    for rule in rules:
        origins, methods = rule.get("origin", []), rule.get("method", [])
        if {origin, "*"} & set(origins) and {method, "*"} & set(methods):
            return rule
    return None


def _origin(rule: Mapping[str, Any], origin: str) -> dict[str, str]:
    if "*" in rule.get("origin", []):
        return {"access-control-allow-origin": "*", "vary": "Origin"}
    return {"access-control-allow-origin": origin, "vary": "Origin"}


def _listed(name: str, rule: Mapping[str, Any]) -> bool:
    return bool({name, "*"} & {header.lower() for header in rule.get("responseHeader", [])})
