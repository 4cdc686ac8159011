"""Runs a model over JSON and turns what fails into the product's `invalid` error."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.errors import Invalid, MalformedRequest
from shared.http.model import Model

M = TypeVar("M", bound=Model)

# A body of 64 KiB could hold thousands of failing fields; twenty are enough to mend it.
_MAX_ERRORS = 20
_MAX_POINTER = 200


def validate_json(model: type[M], body: bytes) -> M:
    """Raises Invalid with pointers, never with the values that failed."""
    try:
        return model.model_validate_json(body, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError, prefix: str = "") -> Invalid | MalformedRequest:
    failures = error.errors(include_url=False, include_context=False, include_input=False)
    if any(failure["type"] == "json_invalid" for failure in failures):
        return MalformedRequest("Not JSON that can be read.")
    return Invalid(errors=[_failure(failure, prefix) for failure in failures[:_MAX_ERRORS]])


def _failure(failure: ErrorDetails, prefix: str) -> dict[str, Any]:
    # RFC 6901: a key of the client's may hold the pointer's own special characters.
    steps = (str(step).replace("~", "~0").replace("/", "~1") for step in failure["loc"])
    pointer = prefix + "".join(f"/{step}" for step in steps)
    return {"pointer": pointer[:_MAX_POINTER], "message": failure["msg"]}
