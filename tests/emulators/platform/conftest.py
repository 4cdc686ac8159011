"""A platform without Pub/Sub for what needs none, and a project in Pub/Sub for deliveries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulators.platform.service import Function, Platform, Project, running

PROJECT = "snaptask-test"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    # Nobody listens on port 9, and without functions nobody asks.
    with running(tmp_path_factory.mktemp("platform"), "127.0.0.1:9", PROJECT) as platform:
        yield platform


@pytest.fixture
def project(pubsub: str) -> Iterator[Project]:
    project = Project(pubsub)
    project.provision()
    yield project
    project.close()


@pytest.fixture
def function() -> Function:
    return Function()
