"""docs/openapi.json against the running local cloud: Schemathesis makes up requests, right and
wrong ones, and no answer is a 5xx or one that the document does not have.

The same requests in every run. Each operation has a person of its own, because some end sessions
or accounts; half of the requests go to things that exist.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fixtures import pictures
from tests.fixtures.stack import Person, Stack, eventually
from tools.openapi import DOCUMENT

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("stack")]

# A few seconds in all, and in the order of what a person's rate limits take.
_EXAMPLES = 12
_CHECKS = [
    checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()))


@dataclass
class People:
    stack: Stack
    stack_of: ExitStack
    known: dict[str, tuple[Person, dict[str, str]]] = field(default_factory=dict)
    count: int = 0

    def of(self, operation: str) -> tuple[Person, dict[str, str]]:
        """Somebody for this operation, with what its path may name."""
        if operation not in self.known:
            person = self.stack_of.enter_context(self.stack.person())
            self.known[operation] = person, _belongings(person)
        return self.known[operation]


def _belongings(person: Person) -> dict[str, str]:
    content = pictures.saved(pictures.photo(60, 40), "JPEG")
    task, medium = person.task()["id"], person.settled(person.upload(content))["id"]
    person.api.post(f"/tasks/{task}/attach-media", json={"mediaId": medium})
    return {"task_id": task, "media_id": medium}


@pytest.fixture(scope="module")
def people(stack: Stack) -> Iterator[People]:
    with ExitStack() as stack_of:
        yield People(stack, stack_of)


@schema.parametrize()
@settings(
    max_examples=_EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_answer_is_undocumented(case: Any, people: People) -> None:
    person, belongings = people.of(case.operation.label)
    if case.path_parameters and people.count % 2:
        case.path_parameters |= {
            name: belongings[name] for name in case.path_parameters if name in belongings
        }

    def call() -> Any:
        return case.call(
            base_url=people.stack.url,
            headers={"Authorization": str(person.api.headers["Authorization"])},
            allow_redirects=False,
            timeout=60,
        )

    # Which says, with the time to come again, that the database is too slow on a busy machine.
    answer = eventually(call, lambda answer: answer.status_code != 503)
    people.count += 1
    case.validate_response(answer, checks=_CHECKS)


def test_the_checks_see_an_answer_that_is_not_in_the_document() -> None:
    """Or the test above could not fail."""
    operation = schema["/api/tasks"]["POST"]
    request = httpx.Request("POST", "http://localhost/api/tasks")
    case = operation.Case(body={"title": "x"})
    for status, body in ((418, {}), (500, {"type": "x", "title": "x", "status": 500}), (201, {})):
        answer = httpx.Response(status, json=body, request=request)
        answer.elapsed = timedelta(0)
        with pytest.raises(schemathesis.core.failures.FailureGroup):
            case.validate_response(answer, checks=_CHECKS)
