"""A handler that could not be served fails when its table is built, with its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from shared.http import App, Cookie, Model, Principal, Reply, Routes, UploadedFile


class Draft(Model):
    title: str


def untyped(body) -> None: ...  # type: ignore[no-untyped-def]
def no_answer(body: Draft): ...  # type: ignore[no-untyped-def]
def two_bodies(body: Draft, other: Draft) -> None: ...
def body_and_file(body: Draft, file: UploadedFile) -> None: ...
def meaningless(weight: int) -> None: ...
def half_optional(body: Draft | None) -> None: ...
def optional_query(query: Draft | None = None) -> None: ...
def maybe_caller(caller: Principal | None = None) -> None: ...
def vague_reply(body: Draft) -> Reply: ...  # type: ignore[type-arg,empty-body]
def needed_cookie(session: Annotated[str, Cookie("session")]) -> None: ...
def counted_cookie(session: Annotated[int | None, Cookie("session")] = None) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        untyped,
        no_answer,
        two_bodies,
        body_and_file,
        meaningless,
        half_optional,
        optional_query,
        maybe_caller,
        vague_reply,
        needed_cookie,
        counted_cookie,
    ],
)
def test_a_signature_that_means_nothing_in_http_is_refused(handler: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=handler.__name__):
        Routes(tag="t").post("/")(handler)


def test_types_that_live_inside_a_function_are_explained() -> None:
    class Local(Model):
        title: str

    def handler(body: Local) -> None: ...

    with pytest.raises(TypeError, match="module level"):
        Routes(tag="t").post("/")(handler)


def test_the_path_and_the_parameters_must_agree() -> None:
    def no_parameter() -> None: ...
    def not_text(thing_id: int) -> None: ...

    for handler in (no_parameter, not_text):
        with pytest.raises(TypeError, match="thing_id"):
            Routes(tag="t").get("/<thing_id>")(handler)


@pytest.mark.parametrize(
    "template", ["", "x", "/x/", "//", "/<int:x>", "/<X>", "/X y", "/<path:p>"]
)
def test_a_template_with_surprises_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="not a path of ours"):
        Routes(tag="t").get(template)


def test_a_route_cannot_be_given_twice() -> None:
    routes = Routes(tag="t")

    @routes.get("/")
    def first() -> None: ...

    with pytest.raises(ValueError, match="already"):
        routes.get("/")


def test_a_private_route_needs_an_authenticator() -> None:
    routes = Routes(tag="t")

    @routes.get("/")
    def private(caller: Principal) -> None: ...

    with pytest.raises(TypeError, match="authenticator"):
        App("t", routes)
