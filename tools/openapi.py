"""Writes docs/openapi.json (OpenAPI 3.1) from the route tables.

The tables are what the functions serve, so the document cannot promise anything else. A
table is built without its service: registering a route calls nothing of the domain.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from shared.errors import (
    Invalid,
    MalformedRequest,
    NotFound,
    ProductError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMediaType,
)
from shared.http import Route, Routes

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]

DOCUMENT = Path(__file__).parent.parent / "docs" / "openapi.json"
DOMAINS = {
    "/api/auth": "shared.identity.http",
    "/api/tasks": "shared.tasks.http",
    "/api/media": "shared.media.http",
}

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457. `instance` is the request id to quote in a report.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {"pointer": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
_HEADERS: Json = {
    "X-Request-Id": {"required": True, "schema": {"type": "string"}},
    "ETag": {"description": "The version to send in If-Match.", "schema": {"type": "string"}},
    "Location": {"schema": {"type": "string", "format": "uri-reference"}},
}


def document(parts: Mapping[str, Routes]) -> Json:
    """The whole document for tables by their prefix (`/api/tasks`)."""
    schemas = _Schemas(route for routes in parts.values() for route in routes)
    paths: dict[str, Json] = {}
    for prefix, routes in parts.items():
        for route in routes:
            path = paths.setdefault(_path(prefix, route), {})
            path[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Snaptask", "version": "1"},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in dict.fromkeys(r.tag for r in parts.values())],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "headers": _HEADERS,
            "schemas": {**schemas.definitions, "Problem": _PROBLEM},
        },
    }


class _Schemas:
    """Every type of the tables at once, so that equal names of two domains stay apart."""

    def __init__(self, routes: Iterator[Route]) -> None:
        inputs = {(id(t), mode): (t, mode) for r in routes for t, mode in _types(r)}
        adapters = [(id(t), mode, TypeAdapter[Any](t)) for t, mode in inputs.values()]
        self._by_type, rest = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCE)
        self.definitions: Json = rest.get("$defs", {})

    def of(self, kind: Any, mode: Mode) -> Json:
        return self._by_type[id(kind), mode]

    def fields(self, model: Any) -> Json:
        """The object schema of a model, not a reference to it."""
        schema = self.of(model, "validation")
        if "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        return schema


def _types(route: Route) -> Iterator[tuple[Any, Mode]]:
    signature = route.signature
    if signature.answer is not None:
        yield signature.answer, "serialization"
    if signature.body:
        yield signature.body[1], "validation"
    for fields in (signature.query, signature.form):
        if fields:
            yield fields[1].model, "validation"
    for header in signature.headers:
        yield header.annotation, "validation"


def _path(prefix: str, route: Route) -> str:
    # The root of a function is the prefix itself: no trailing slash that would not match.
    template = route.template.replace("<", "{").replace(">", "}")
    return prefix + ("" if template == "/" else template)


def _operation(route: Route, schemas: _Schemas) -> Json:
    operation: Json = {
        "tags": [route.tag],
        "operationId": f"{route.tag}_{route.handler.__name__}",
        "summary": route.summary,
        "security": [{"bearer": []}] if route.signature.caller else [],
    }
    if route.description:
        operation["description"] = route.description
    if parameters := [*_parameters(route, schemas)]:
        operation["parameters"] = parameters
    if body := _request_body(route, schemas):
        operation["requestBody"] = body
    operation["responses"] = _responses(route, schemas)
    return operation


def _parameters(route: Route, schemas: _Schemas) -> Iterator[Json]:
    signature = route.signature
    for name in signature.path:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if signature.query:
        model = schemas.fields(signature.query[1].model)
        for name, schema in model.get("properties", {}).items():
            required = name in model.get("required", ())
            yield {"name": name, "in": "query", "required": required, "schema": _text(schema)}
    for header in signature.headers:
        schema = _text(schemas.of(header.annotation, "validation"))
        yield {"name": header.name, "in": "header", "required": header.required, "schema": schema}
    for _, name in signature.cookies:
        yield {"name": name, "in": "cookie", "required": False, "schema": {"type": "string"}}
    named = {header.name for header in signature.headers}
    if _is_tagged(route) and "If-None-Match" not in named:
        yield {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}


def _text(schema: Json) -> Json:
    """Text cannot say null: a missing parameter is how a client leaves a value out."""
    if "anyOf" not in schema:
        return schema
    branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
    rest = {k: v for k, v in schema.items() if k not in ("anyOf", "default")}
    return {**rest, **branches[0]} if len(branches) == 1 else {**rest, "anyOf": branches}


def _is_tagged(route: Route) -> bool:
    answer = route.signature
    return route.method == "GET" and answer.is_reply and answer.answer is not None


def _request_body(route: Route, schemas: _Schemas) -> Json | None:
    signature = route.signature
    if signature.body:
        schema = schemas.of(signature.body[1], "validation")
        content = {"application/json": {"schema": schema}}
        return {"required": not signature.body_optional, "content": content}
    if signature.is_multipart:
        content = {"multipart/form-data": {"schema": _form(route, schemas)}}
        return {"required": True, "content": content}
    return None


def _form(route: Route, schemas: _Schemas) -> Json:
    signature = route.signature
    model = schemas.fields(signature.form[1].model) if signature.form else {}
    binary = {
        "type": "string",
        "format": "binary",
        "contentMediaType": "application/octet-stream",
    }
    texts = {name: _text(schema) for name, schema in model.get("properties", {}).items()}
    files = {name: binary for name, _ in signature.files}
    required = [name for name, needed in signature.files if needed]
    return {
        "type": "object",
        "properties": {**files, **texts},
        "required": [*required, *model.get("required", ())],
        "additionalProperties": False,
    }


def _responses(route: Route, schemas: _Schemas) -> Json:
    responses = {str(route.status): _success(route, schemas)}
    if _is_tagged(route):
        headers = _header_references("X-Request-Id", "ETag")
        responses["304"] = {"description": "You have it already", "headers": headers}
    by_status: dict[int, list[type[ProductError]]] = {}
    for error in dict.fromkeys([*_every_route(route), *route.errors]):
        by_status.setdefault(error.status, []).append(error)
    for status in sorted(by_status):
        responses[str(status)] = _refusal(by_status[status])
    return responses


def _success(route: Route, schemas: _Schemas) -> Json:
    signature = route.signature
    names = ["X-Request-Id"]
    if signature.is_reply:
        names += ["ETag"] if signature.answer is not None else []
        names += ["Location"] if route.status in (201, 202, 302, 303, 307) else []
    success: Json = {"description": route.summary, "headers": _header_references(*names)}
    if signature.answer is not None:
        schema = schemas.of(signature.answer, "serialization")
        success["content"] = {"application/json": {"schema": schema}}
    return success


def _refusal(errors: list[type[ProductError]]) -> Json:
    schema = {"$ref": _REFERENCE.format(model="Problem")}
    return {
        "description": "; ".join(f"{error.title} (`{error.slug}`)" for error in errors),
        "headers": _header_references("X-Request-Id"),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _header_references(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _every_route(route: Route) -> Iterator[type[ProductError]]:
    """What the router itself can answer on this route, whatever the domain raises."""
    signature = route.signature
    if signature.caller:
        yield Unauthenticated
    if signature.path:
        yield NotFound
    if signature.body or signature.is_multipart:
        yield from (MalformedRequest, TooLarge, UnsupportedMediaType, Invalid)
    if signature.query:
        yield from (MalformedRequest, Invalid)
    if any(header.required or header.adapter for header in signature.headers):
        yield Invalid
    yield from (ProductError, Unavailable)


def build() -> Json:
    """The document of the product as it is."""
    parts = {}
    for prefix, name in DOMAINS.items():
        table = importlib.import_module(name).routes
        # Each domain's table takes its services only; None stands in for each of them.
        parts[prefix] = table(*[None] * table.__code__.co_argcount)
    return document(parts)


def main() -> None:
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(json.dumps(build(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
