from __future__ import annotations

import pytest

from tools import web


@pytest.fixture(scope="session", autouse=True)
def _built_app() -> None:
    """The program puts web/dist into a bucket, and refuses one that is not of these sources."""
    web.build()
