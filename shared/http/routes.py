"""A table of routes, and the handlers' signatures read once.

Building a table calls nothing of the domain, so `tools/openapi.py` builds it without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.errors import ProductError
from shared.http.signature import Signature, read_signature

Handler = TypeVar("Handler", bound=Callable[..., Any])

# Seconds. A healthy request takes 10-200 ms; several calls that each need a second try fit, and a
# client that waits longer has mostly gone.
BUDGET = 10.0
_TEMPLATE = re.compile(r"/|(?:/(?:[a-z0-9._-]+|<[a-z][a-z0-9_]*>))+")
_PARAMETER = re.compile(r"<([a-z0-9_]+)>")


@dataclass(frozen=True)
class Route:
    method: str
    template: str
    handler: Callable[..., Any]
    signature: Signature
    status: int
    errors: tuple[type[ProductError], ...]
    max_body: int | None
    """Bytes; None means the App's cap."""
    live: bool
    """Whether the caller's session is looked up, not only his token: for every write, and for
    reads whose answer is of use after the session's end."""
    budget: float
    """Seconds that the handler's calls may take in all."""
    tag: str
    summary: str
    description: str


class Routes:
    """Filled by decorators: `@routes.get("/<task_id>")`. Iterates over its routes."""

    def __init__(self, tag: str) -> None:
        self.tag = tag
        self._routes: list[Route] = []

    def __iter__(self) -> Any:
        return iter(self._routes)

    def get(self, template: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.route("GET", template, **options)

    def post(self, template: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.route("POST", template, **options)

    def put(self, template: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.route("PUT", template, **options)

    def patch(self, template: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.route("PATCH", template, **options)

    def delete(self, template: str, **options: Any) -> Callable[[Handler], Handler]:
        return self.route("DELETE", template, **options)

    def route(
        self,
        method: str,
        template: str,
        *,
        status: int | None = None,
        errors: tuple[type[ProductError], ...] = (),
        max_body: int | None = None,
        live: bool = False,
        budget: float = BUDGET,
    ) -> Callable[[Handler], Handler]:
        """Raises TypeError or ValueError at import for a route that could not be served."""
        if not _TEMPLATE.fullmatch(template):
            raise ValueError(f"not a path of ours: {template!r} (no trailing slash, <snake_case>)")
        if any((route.method, route.template) == (method, template) for route in self._routes):
            raise ValueError(f"{method} {template} is there already")

        def register(handler: Handler) -> Handler:
            signature = read_signature(handler, tuple(_PARAMETER.findall(template)))
            summary, _, description = (handler.__doc__ or handler.__name__).strip().partition("\n")
            self._routes.append(
                Route(
                    method=method,
                    template=template,
                    handler=handler,
                    signature=signature,
                    status=status or (204 if signature.answer is None else 200),
                    errors=errors,
                    max_body=max_body,
                    live=live or method != "GET",
                    budget=budget,
                    tag=self.tag,
                    summary=summary.rstrip("."),
                    description=" ".join(description.split()),
                )
            )
            return handler

        return register
