"""Trouble on request: what a test asks the emulator to do wrong, and for how many requests.

A fault has a kind, a match (method, path prefix, bucket) and a count. `clock` stands until it is
cleared; all others are used up, oldest first.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from emulators.storage.errors import Invalid

KINDS = ("status", "cut", "cut-answer", "alter", "notification", "clock")


@dataclass
class Fault:
    """`status`: answer `status` once `after_bytes` of the request's body arrived.
    `cut`: drop the connection there. `cut-answer`: drop it after so many bytes of the answer's
    body; with none, the whole answer is lost although the request has taken effect.
    `alter`: the byte of the request's body behind so many others is another when it arrives.
    `notification`: `copies` of the next messages of `bucket`, `delay` seconds late.
    `clock`: the emulator's clock is `seconds` ahead (negative: behind).
    """

    kind: str
    method: str = ""
    path_prefix: str = ""
    bucket: str = ""
    count: int = 1
    after_bytes: int = 0
    status: int = 503
    copies: int = 1
    delay: float = 0
    seconds: float = 0


_TYPES = {
    "method": str,
    "path_prefix": str,
    "bucket": str,
    "count": int,
    "after_bytes": int,
    "status": int,
    "copies": int,
    "delay": float,
    "seconds": float,
}


def parse(body: Mapping[str, Any]) -> Fault:
    kind = body.get("kind")
    if kind not in KINDS:
        raise Invalid(f"kind must be one of {', '.join(KINDS)}.")
    unknown = set(body) - set(_TYPES) - {"kind"}
    if unknown:
        raise Invalid(f"Unknown in a fault: {', '.join(sorted(unknown))}.")
    fault = Fault(kind, **{name: _typed(name, body[name]) for name in _TYPES if name in body})
    least = min(fault.count, fault.copies, fault.after_bytes + 1, int(fault.delay >= 0))
    if least < 1 or not 400 <= fault.status <= 599:
        raise Invalid("count, copies, after_bytes, delay or status is out of range.")
    return fault


def _typed(name: str, value: Any) -> Any:
    wanted = _TYPES[name]
    accepted = (int, float) if wanted is float else wanted
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise Invalid(f"{name} must be a {wanted.__name__}.")
    return value


class Faults:
    """Those that wait. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def now(self) -> float:
        """The emulator's idea of the time, in seconds since 1970."""
        with self._lock:
            offset = sum(fault.seconds for fault in self._waiting if fault.kind == "clock")
        return time.time() + offset

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def listed(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._waiting]

    def for_request(self, method: str, path: str) -> Fault | None:
        kinds = ("status", "cut", "cut-answer", "alter")
        with self._lock:
            for fault in self._waiting:
                if (
                    fault.kind in kinds
                    and fault.method in ("", method)
                    and path.startswith(fault.path_prefix)
                ):
                    return self._used(fault)
        return None

    def for_notification(self, bucket: str) -> Fault | None:
        with self._lock:
            for fault in self._waiting:
                if fault.kind == "notification" and fault.bucket in ("", bucket):
                    return self._used(fault)
        return None

    def _used(self, fault: Fault) -> Fault:
        fault.count -= 1
        if fault.count <= 0:
            self._waiting.remove(fault)
        return fault
