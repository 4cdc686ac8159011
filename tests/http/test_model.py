"""Names on the wire."""

from __future__ import annotations

import pytest

from shared.http.model import camel_case


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("size", "size"),
        ("media_id", "mediaId"),
        ("next_page_token", "nextPageToken"),
        # A digit does not begin a word: this is how Cloud Storage writes it too.
        ("crc32c", "crc32c"),
        ("sha256_sum", "sha256Sum"),
    ],
)
def test_a_name_is_camel_case_on_the_wire(name: str, wire: str) -> None:
    assert camel_case(name) == wire
