"""The one family of errors that the product answers with.

The domain raises a subclass; shared/http renders it as `application/problem+json` (RFC 9457)
and nothing else ever shapes an error body. Technical: knows no domain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class ProductError(Exception):
    """An answer that is not a success.

    `slug` becomes the problem's `type` (`/problems/<slug>`), `title` is the same for every
    occurrence, `detail` is about this one and must never hold a secret. `errors` lists the
    failing fields of a model (`{"pointer", "message"}`); `headers` go onto the answer.
    """

    slug: ClassVar[str] = "internal"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Something went wrong"

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})


class MalformedRequest(ProductError):
    slug, status, title = "malformed-request", 400, "The request could not be read"


class Unauthenticated(ProductError):
    slug, status, title = "unauthenticated", 401, "Sign in first"

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class Forbidden(ProductError):
    slug, status, title = "forbidden", 403, "Not allowed"


class NotFound(ProductError):
    """Missing and not yours look the same, to the letter."""

    slug, status, title = "not-found", 404, "Not found"


class MethodNotAllowed(ProductError):
    slug, status, title = "method-not-allowed", 405, "This path does not take that method"


class Conflict(ProductError):
    slug, status, title = "conflict", 409, "That is not possible in the present state"


class OverQuota(ProductError):
    """Not 413, which is about one body, and not 507, which would be our failure: the person can
    make room, and then send the same again."""

    slug, status, title = "quota-exceeded", 409, "There is no room left for it"


class StaleVersion(ProductError):
    slug, status, title = "stale-version", 412, "Somebody changed it meanwhile"


class TooLarge(ProductError):
    slug, status, title = "too-large", 413, "The body is too large"


class UnsupportedMediaType(ProductError):
    slug, status, title = "unsupported-media-type", 415, "That media type is not taken here"


class Invalid(ProductError):
    slug, status, title = "invalid", 422, "Some values are not valid"


class TooManyRequests(ProductError):
    slug, status, title = "too-many-requests", 429, "Too many requests"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})


class Unavailable(ProductError):
    """Something we depend on did not answer in time; the request changed nothing or is safe
    to send again."""

    slug, status, title = "unavailable", 503, "Try again in a moment"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(retry_after)})
