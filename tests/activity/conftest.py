"""Both document stores under one name, and tasks over them."""

from __future__ import annotations

import pytest

from shared.documents import DocumentStore
from tests.fixtures.stores import documents as documents
from tests.tasks.world import World


@pytest.fixture
def world(documents: DocumentStore) -> World:
    return World(documents)
