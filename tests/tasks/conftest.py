"""Both document stores under one name."""

from tests.fixtures.stores import documents as documents
