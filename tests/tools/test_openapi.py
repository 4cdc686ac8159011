"""The document says what the tables serve, in a form that other tools accept."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from openapi_spec_validator import validate

from shared.errors import Conflict, StaleVersion
from shared.http import Header, Model, Principal, Reply, Routes, UploadedFile
from tools.openapi import DOCUMENT, build, document


class Draft(Model):
    title: str
    due_at: str | None = None


class Filter(Model):
    sort: Literal["a", "b"] | None = None
    label: tuple[str, ...] = ()


class Note(Model):
    text: str


def table() -> Routes:
    routes = Routes(tag="things")

    @routes.post("/", status=201, errors=(Conflict,))
    def create(
        body: Draft,
        caller: Principal,
        idempotency_key: Annotated[str | None, Header("Idempotency-Key")] = None,
    ) -> Reply[Draft]:
        """Create a thing."""
        raise NotImplementedError

    @routes.get("/")
    def find(query: Filter) -> Draft:
        """Find things."""
        raise NotImplementedError

    @routes.get("/<thing_id>")
    def read(thing_id: str) -> Reply[Draft]:
        raise NotImplementedError

    @routes.delete("/<thing_id>", errors=(StaleVersion,))
    def delete(thing_id: str, caller: Principal) -> None: ...

    @routes.post("/upload")
    def upload(file: UploadedFile, form: Note) -> Draft:
        raise NotImplementedError

    return routes


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document({"/api/things": table()})


def test_the_document_is_valid_openapi(made: dict[str, Any]) -> None:
    validate(made)


def test_the_root_has_no_trailing_slash_and_parameters_have_braces(made: dict[str, Any]) -> None:
    assert set(made["paths"]) == {
        "/api/things",
        "/api/things/{thing_id}",
        "/api/things/upload",
    }


def test_a_private_route_says_so_and_a_public_one_too(made: dict[str, Any]) -> None:
    root = made["paths"]["/api/things"]
    assert root["post"]["security"] == [{"bearer": []}]
    assert root["get"]["security"] == []
    assert "401" in root["post"]["responses"]
    assert "401" not in root["get"]["responses"]


def test_declared_errors_join_those_of_the_router(made: dict[str, Any]) -> None:
    root = made["paths"]["/api/things"]
    expected = {"201", "400", "401", "409", "413", "415", "422", "500", "503"}
    assert set(root["post"]["responses"]) == expected
    assert set(root["get"]["responses"]) == {"200", "400", "422", "500", "503"}
    one = made["paths"]["/api/things/{thing_id}"]
    assert set(one["delete"]["responses"]) == {"204", "401", "404", "412", "500", "503"}


def test_models_are_camel_case_and_closed(made: dict[str, Any]) -> None:
    schema = next(v for k, v in made["components"]["schemas"].items() if "Draft" in k)
    assert set(schema["properties"]) == {"title", "dueAt"}
    assert schema["additionalProperties"] is False


def test_a_query_cannot_be_null(made: dict[str, Any]) -> None:
    sort, label = made["paths"]["/api/things"]["get"]["parameters"]
    assert (sort["name"], sort["required"]) == ("sort", False)
    assert "null" not in str(sort)
    assert label["schema"]["type"] == "array"


def test_a_form_lists_its_file_and_its_texts(made: dict[str, Any]) -> None:
    body = made["paths"]["/api/things/upload"]["post"]["requestBody"]
    schema = body["content"]["multipart/form-data"]["schema"]
    assert schema["properties"]["file"]["format"] == "binary"
    assert schema["required"] == ["file", "text"]


def test_versions_appear_where_a_get_gives_them(made: dict[str, Any]) -> None:
    read = made["paths"]["/api/things/{thing_id}"]["get"]
    assert "304" in read["responses"]
    assert "ETag" in read["responses"]["200"]["headers"]


def test_operation_ids_are_unique(made: dict[str, Any]) -> None:
    ids = [o["operationId"] for path in made["paths"].values() for o in path.values()]
    assert len(ids) == len(set(ids))


def test_the_products_document_is_the_committed_one_and_valid() -> None:
    made = build()
    validate(made)
    assert json.loads(DOCUMENT.read_text()) == made, "run `make openapi`"
    assert {"/api/media/upload", "/api/tasks/{task_id}/attach-media"} <= set(made["paths"])
