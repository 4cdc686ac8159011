"""Strict JSON against the standard library's reader, and multipart against noise."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Invalid, MalformedRequest
from shared.http.fields import TextFields
from shared.http.json import MAX_DEPTH, loads
from shared.http.model import Model
from shared.http.multipart import Form, read_form

# Surrogates are category Cs; everything else must come through.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.proof
@settings(max_examples=100, deadline=None)
@given(_VALUES, st.booleans())
def test_what_the_standard_library_writes_is_read_back(value: Any, ascii_only: bool) -> None:
    assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40) | st.text('{}[]",:\\u0dD8ce19-.tTn ', max_size=30).map(str.encode))
def test_noise_is_read_as_the_standard_library_does_or_refused(body: bytes) -> None:
    try:
        ours = loads(body)
    except MalformedRequest:
        return
    assert ours == json.loads(body.decode("utf-8"))


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'"\\udc00"',
        b'{"\\ud800x":1}',
        b"\xef\xbb\xbf1",
        b'"\xed\xa0\x80"',
        b"\xff\xfe1\x00",
        b"1 2",
        b"'a'",
        b"[1,]",
        b'"\x01"',
        b"9" * 5000,
        b"9007199254740993",
        b"[" * 50_000,
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
)
def test_json_that_two_readers_could_take_differently_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        loads(body)


def test_a_full_surrogate_pair_is_one_character() -> None:
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_depth_counts_nesting_and_not_brackets_in_text() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert loads(json.dumps(["[{" * 100, '"[' * 100, "\\" * 99]).encode())
    assert len(loads(b"[" + b"[]," * 100 + b"[]]")) == 101
    with pytest.raises(MalformedRequest, match="deeper"):
        loads(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


# Half a minute each when every quote of an unfinished text was tried as a beginning.
@pytest.mark.timeout(10)
@pytest.mark.parametrize("rest", ['"' + '\\"' * 30_000, "\\" * 60_001, '"' * 60_001, '"a' * 30_000])
def test_a_text_that_never_ends_costs_no_more_than_its_length(rest: str) -> None:
    with pytest.raises(MalformedRequest):
        loads(("[" * (MAX_DEPTH + 1) + rest).encode())


class Query(Model):
    limit: int = 1
    labels: tuple[int, ...] = ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["limit", "labels", "x"]), _TEXT), max_size=4))
def test_no_text_in_a_query_is_worse_than_refused(pairs: list[tuple[str, str]]) -> None:
    # Any other error would escape here and fail the test.
    with contextlib.suppress(Invalid):
        assert isinstance(TextFields(Query).read(pairs), Query)


_PIECES = st.sampled_from(
    [
        b"--B",
        b"--B--",
        b"\r\n",
        b"\n",
        b"\r",
        b"--",
        b"Content-Disposition: form-data; name=a",
        b'Content-Disposition: form-data; name="f"; filename="x"',
        b"Content-Disposition: form-data; filename*=utf-8''%ff; name*=x''%00",
        b"data",
        b"\xff\x00",
        b": ",
    ]
)


@pytest.mark.proof
@settings(max_examples=200, deadline=None)
@given(st.lists(_PIECES, max_size=14).map(b"".join), st.integers(1, 50))
def test_no_noise_in_a_form_is_worse_than_refused(body: bytes, step: int) -> None:
    form = Form()
    source = io.BytesIO(body)
    with contextlib.suppress(MalformedRequest, Invalid):
        read_form(b"B", iter(lambda: source.read(step), b""), form)
    form.close()
    assert all(stream.closed for stream in form.opened)
