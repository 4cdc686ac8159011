"""Tells at once that a dependency is out, instead of letting every request find out by itself.

Closed, it costs nothing and holds no lock during calls. A call that got no answer within its
whole budget opens it, unless another call was answered since that one began: trouble with one
document is no outage. Open, calls are refused at once and one thread at a time probes, over a
connection of its own, until the dependency answers; that connection then replaces the old one.

An instance that Cloud Run gives no processor between requests cannot probe on time. So a refusal
needs fresh evidence: when the last failed probe is old, one call goes through and finds out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from shared.errors import Unavailable

# Seconds between probes: an outage should end for our callers when it ends.
_PAUSE = 0.5
# Seconds for which a failure is evidence of an outage; some probes' time, so that one lost probe
# lets nobody wait, and short beside what a client waits before it tries again.
_EVIDENCE = 10.0
_log = logging.getLogger(__name__)


class Breaker:
    """`probe` returns when the dependency answers and raises anything else when it does not. It
    runs on a thread of its own, bounds itself, and leaves behind the fresh connection."""

    def __init__(
        self,
        name: str,
        probe: Callable[[], None],
        *,
        pause: float = _PAUSE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._probe = probe
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._open = False
        self._evidence = 0.0
        self._answered = float("-inf")
        self._probing: threading.Thread | None = None

    def check(self) -> float:
        """The moment at which the call begins, for `fail`. Raises Unavailable while open."""
        now = self._clock()
        if not self._open:
            return now
        with self._lock:
            if self._open and now - self._evidence <= _EVIDENCE:
                raise Unavailable(f"{self._name} does not answer")
            # Whoever comes next relies on what this call is about to find.
            self._evidence = now
        return now

    def succeed(self) -> None:
        self._answered = self._clock()
        if self._open:
            self._shut()

    def fail(self, began: float) -> None:
        """A call that began then spent its budget without any answer."""
        with self._lock:
            if self._answered >= began:
                return
            self._evidence = self._clock()
            self._open = True
            if self._probing is None and not self._closed.is_set():
                _log.warning("breaker: %s does not answer; calls are refused at once", self._name)
                self._probing = threading.Thread(target=self._watch, name="probe", daemon=True)
                self._probing.start()

    def close(self) -> None:
        """End the probing; the breaker is of no more use."""
        self._closed.set()
        probing = self._probing
        if probing is not None:
            probing.join()

    def _watch(self) -> None:
        while not self._closed.wait(self._pause):
            with self._lock:
                if not self._open:
                    self._probing = None
                    return
            try:
                self._probe()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is not an answer.
                self._evidence = self._clock()
                _log.info("breaker: %s: %s", self._name, type(error).__name__)
            else:
                self._shut()

    def _shut(self) -> None:
        with self._lock:
            if self._open:
                _log.warning("breaker: %s answers again", self._name)
            self._open = False
