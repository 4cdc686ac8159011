"""A cursor goes on where its list ended, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.documents import cursors
from shared.errors import Invalid
from shared.ids import new_id

SCOPE = ("tasks", "ada", None)
NOON = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)


def forged(*body: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(body).encode()).rstrip(b"=").decode()


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_cursor_keeps_the_place_to_the_microsecond(stamp: datetime) -> None:
    identifier = new_id()
    cursor = cursors.encode(stamp, identifier, SCOPE)
    assert cursors.decode(cursor, SCOPE) == (stamp, identifier)
    assert len(cursor) < 150
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    "other", [("tasks", "bob", None), ("tasks", "ada", "open"), ("media", "ada", None), None]
)
def test_a_cursor_of_another_list_is_refused(other: object) -> None:
    cursor = cursors.encode(NOON, new_id(), other)
    with pytest.raises(Invalid):
        cursors.decode(cursor, SCOPE)


def evil(stamp: Any = "2026-11-25T12:00:00+00:00", identifier: Any = "a" * 20) -> str:
    return forged(stamp, identifier, cursors._bind(SCOPE))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "\ud800",
        "=" * 10,
        "A" * 401,
        "A" * 100_000,
        forged(),
        forged(1, 2, 3),
        forged({"a": 1}),
        base64.urlsafe_b64encode(b"[" * 290).decode(),
        base64.urlsafe_b64encode(b"9" * 290).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        evil(identifier=".."),
        evil(identifier="a/b"),
        evil(identifier="é"),
        evil(identifier="²"),
        evil(identifier=""),
        evil(identifier="a" * 65),
        evil(identifier=7),
        evil(identifier=None),
        evil(identifier=["a"]),
        evil(stamp=None),
        evil(stamp=0),
        evil(stamp="2026-11-25T12:00:00"),
        evil(stamp="yesterday"),
        evil(stamp="0001-01-01T00:00:00+23:59"),
        evil(stamp="9999-12-31T23:59:59-23:59"),
    ],
    ids=lambda value: value[:12].encode("ascii", "replace").decode(),
)
def test_what_is_no_cursor_of_this_list_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        cursors.decode(cursor, SCOPE)
    assert refused.value.errors[0]["pointer"] == "/cursor"


def test_a_moment_in_another_zone_is_the_same_place() -> None:
    east = NOON.astimezone(timezone(timedelta(hours=2)))
    assert cursors.decode(evil(stamp=east.isoformat()), SCOPE)[0] == NOON


@given(st.text(max_size=80))
def test_no_text_does_anything_but_being_refused(text: str) -> None:
    with pytest.raises(Invalid):
        cursors.decode(text, SCOPE)


@given(st.text("0189azé語 ", max_size=80))
def test_a_cursor_in_a_list_of_keys_keeps_the_key(key: str) -> None:
    identifier = new_id()
    cursor = cursors.encode_key(key, identifier, SCOPE)
    assert cursors.decode_key(cursor, SCOPE) == (key, identifier)
    with pytest.raises(Invalid):
        cursors.decode_key(cursor, ("another", "list"))


@pytest.mark.parametrize(
    "key",
    [
        "\ud800",
        "a-b",
        "/",
        "é\u0301",
        "a\n",
        "x" * 201,
        "2026-11-25T12:00:00+00:00",
        7,
        None,
        ["a"],
    ],
)
def test_what_is_no_key_is_no_cursor_of_a_list_of_keys(key: Any) -> None:
    with pytest.raises(Invalid):
        cursors.decode_key(evil(stamp=key), SCOPE)


def test_a_moment_is_asked_for_where_a_list_is_of_moments() -> None:
    with pytest.raises(Invalid):
        cursors.decode(cursors.encode_key("abc", new_id(), SCOPE), SCOPE)
