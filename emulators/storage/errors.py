"""What the emulator refuses, in one family that both transports render in their own dialect.

The JSON API answers `{"error": {...}}` with `reason`; the XML API answers `<Error>` with `code`
and, for some, further elements (`StringToSign`, `Details`). The texts follow the real service.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape


class StorageError(Exception):
    """A refusal; `details` become further elements of an XML error body."""

    status = 500
    code = "InternalError"
    reason = "internalError"

    def __init__(
        self,
        message: str = "We encountered an internal error. Please try again.",
        details: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, object]:
        entry = {"message": self.message, "domain": "global", "reason": self.reason}
        return {"error": {"code": self.status, "message": self.message, "errors": [entry]}}

    def as_xml(self) -> bytes:
        parts = {"Code": self.code, "Message": self.message, **self.details}
        body = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in parts.items())
        return f"<?xml version='1.0' encoding='UTF-8'?><Error>{body}</Error>".encode(
            "utf-8", "replace"
        )


class Invalid(StorageError):
    status, code, reason = 400, "InvalidArgument", "invalid"


class Required(StorageError):
    status, code, reason = 400, "InvalidArgument", "required"


class BadDigest(StorageError):
    status, code, reason = 400, "BadDigest", "invalid"


class TooSmall(StorageError):
    status, code, reason = 400, "EntityTooSmall", "invalid"


class TooLarge(StorageError):
    status, code, reason = 400, "EntityTooLarge", "uploadTooLarge"


class Incomplete(StorageError):
    status, code, reason = 400, "IncompleteBody", "badRequest"


class InvalidPolicy(StorageError):
    status, code, reason = 400, "InvalidPolicyDocument", "invalid"


class ExpiredToken(StorageError):
    status, code, reason = 400, "ExpiredToken", "expired"


class BadAuthorization(StorageError):
    status, code, reason = 400, "AuthorizationQueryParametersError", "invalid"


class MalformedSecurityHeader(StorageError):
    status, code, reason = 400, "MalformedSecurityHeader", "invalid"


class Unauthorized(StorageError):
    status, code, reason = 401, "AuthenticationRequired", "required"


class AccessDenied(StorageError):
    status, code, reason = 403, "AccessDenied", "forbidden"


class SignatureMismatch(StorageError):
    status, code, reason = 403, "SignatureDoesNotMatch", "forbidden"


class TimeSkewed(StorageError):
    status, code, reason = 403, "RequestTimeTooSkewed", "forbidden"


class NoSuchBucket(StorageError):
    status, code, reason = 404, "NoSuchBucket", "notFound"


class NoSuchKey(StorageError):
    status, code, reason = 404, "NoSuchKey", "notFound"


class NoSuchUpload(StorageError):
    status, code, reason = 404, "NoSuchUpload", "notFound"


class MethodNotAllowed(StorageError):
    status, code, reason = 405, "MethodNotAllowed", "methodNotAllowed"


class Conflict(StorageError):
    status, code, reason = 409, "BucketNameUnavailable", "conflict"


class BucketNotEmpty(StorageError):
    status, code, reason = 409, "BucketNotEmpty", "conflict"


class LengthRequired(StorageError):
    status, code, reason = 411, "MissingContentLength", "required"


class PreconditionFailed(StorageError):
    status, code, reason = 412, "PreconditionFailed", "conditionNotMet"


class RangeNotSatisfiable(StorageError):
    status, code, reason = 416, "InvalidRange", "requestedRangeNotSatisfiable"


class Cancelled(StorageError):
    status, code, reason = 499, "ClientClosedRequest", "clientClosedRequest"


class NotImplementedHere(StorageError):
    """Something the real service has and this emulator leaves out on purpose."""

    status, code, reason = 501, "NotImplemented", "notImplemented"


class Unavailable(StorageError):
    status, code, reason = 503, "ServiceUnavailable", "backendError"


class NotModified(StorageError):
    """A conditional read whose answer the caller already holds; it has no body."""

    status, code, reason = 304, "NotModified", "notModified"
