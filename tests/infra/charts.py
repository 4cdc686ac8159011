"""Dashboards against Google's own description of them, which refuses fields it does not know.

The discovery document comes inside google-api-python-client, installed in an environment of its
own; `Dashboard` and what it refers to is read from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.fixtures import venvs
from tests.infra.recordings import Recording

_PINNED = b"google-api-python-client==2.202.0\n"
_PLACE = "lib/python*/site-packages/googleapiclient/discovery_cache/documents/monitoring.v1.json"


@cache
def schemas() -> dict[str, Any]:
    folder = venvs.python_of({"requirements.txt": _PINNED}).parents[1]
    document = next(folder.glob(_PLACE))
    found: dict[str, Any] = json.loads(document.read_text())["schemas"]
    return found


def findings(recording: Recording) -> list[str]:
    return [
        f"{one.name}: {problem}"
        for one in recording.of("monitoring", "Dashboard")
        for problem in _check({"$ref": "Dashboard"}, json.loads(one.inputs["dashboardJson"]), "")
    ]


def _check(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if "$ref" in schema:
        schema = {"type": "object", **schemas()[schema["$ref"]]}
    kind = schema.get("type")
    if kind == "object":
        yield from _check_object(schema, value, path)
    elif kind == "array":
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for number, one in enumerate(value):
            yield from _check(schema["items"], one, f"{path}[{number}]")
    elif kind == "string" and not isinstance(value, str):
        yield f"{path} is no text"
    elif kind in ("integer", "number") and isinstance(value, bool | str):
        yield f"{path} is no number"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path} is {value!r}"


def _check_object(schema: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no object"
        return
    properties = schema.get("properties", {})
    for name, one in value.items():
        if name in properties:
            yield from _check(properties[name], one, f"{path}.{name}")
        elif "additionalProperties" not in schema:
            yield f"{path}.{name} is no field"
