"""Both document stores under one name, so that one suite holds for both."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.documents import DocumentStore
from tests.fixtures import stores


@pytest.fixture(params=["memory", pytest.param("firestore", marks=pytest.mark.emulated)])
def documents(request: pytest.FixtureRequest) -> Iterator[DocumentStore]:
    if request.param == "memory":
        yield stores.memory_documents()
    else:
        request.getfixturevalue("firestore")
        with stores.firestore_documents() as firestore:
            yield firestore
