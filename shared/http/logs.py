"""One JSON line per event on stdout, in the fields that Cloud Logging reads.

What a line may hold is decided here: method, route template, status, time, ids. Never a
path, query string, header or body, since those carry tokens and names of users' files.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Mapping
from typing import Any

# W3C Trace Context, and Google's older header "TRACE/SPAN;o=1".
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CLOUD_TRACE = re.compile(r"([0-9a-fA-F]{32})(?:/\d{1,20})?(?:;o=\d)?")


def trace_of(environ: Mapping[str, Any]) -> str | None:
    """The trace id that the platform or the client sent, or None."""
    found = _TRACEPARENT.fullmatch(environ.get("HTTP_TRACEPARENT", "")) or _CLOUD_TRACE.fullmatch(
        environ.get("HTTP_X_CLOUD_TRACE_CONTEXT", "")
    )
    return found[1].lower() if found else None


class Log:
    """Writes the lines of one function; knows its name and, for traces, its project."""

    def __init__(self, service: str, project: str | None) -> None:
        self._service = service
        self._trace_prefix = f"projects/{project}/traces/" if project else None

    def access(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        *,
        request_id: str,
        trace: str | None,
        problem: str | None,
    ) -> None:
        line = {
            "severity": "ERROR" if status >= 500 else "INFO",
            "message": f"{method} {route} {status}",
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
        }
        if problem:
            line["problem"] = problem
        self._write(line, request_id, trace)

    def failure(self, error: BaseException, route: str, request_id: str, trace: str | None) -> None:
        line = {
            "severity": "ERROR",
            "message": f"Unforeseen {type(error).__name__} in {route}",
            "stack_trace": "".join(traceback.format_exception(error)),
        }
        self._write(line, request_id, trace)

    def _write(self, line: dict[str, Any], request_id: str, trace: str | None) -> None:
        line["service"] = self._service
        line["requestId"] = request_id
        if trace and self._trace_prefix:
            line["logging.googleapis.com/trace"] = self._trace_prefix + trace
        # One write keeps the lines of parallel requests whole; stdout is a pipe, hence flush.
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
