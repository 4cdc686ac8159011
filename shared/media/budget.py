"""A bound on the memory that a decoder takes for a file that lies about its size.

Most formats are sized by the header that was checked before. HEIC and AVIF are not: their coded
pictures have sizes of their own. Under the bound an allocation fails, which decoders report as an
error; without it the kernel ends the function, and the event comes again, for a day.
"""

from __future__ import annotations

import re
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MIB = 1024 * 1024
# Of address space, on top of what the process has: the largest honest picture takes 450 MB, the
# encoders' threads reserve some more, and what was never touched costs nothing. The function
# has 1 GiB, of which it holds 150 before.
MOST = 800 * _MIB
_SIZE = re.compile(r"VmSize:\s+(\d+) kB")


class _Bound:
    """The process has one; of several pictures at once the last lifts it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)

    def set(self, most: int) -> None:
        size = _size()
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            self._before = soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            if size is not None and (soft == resource.RLIM_INFINITY or soft > size + most):
                resource.setrlimit(resource.RLIMIT_AS, (size + most, hard))

    def lift(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                resource.setrlimit(resource.RLIMIT_AS, self._before)


_bound = _Bound()


@contextmanager
def bounded_memory(most: int = MOST) -> Iterator[None]:
    """Where the system tells no size (it is not Linux), nothing is bounded."""
    _bound.set(most)
    try:
        yield
    finally:
        _bound.lift()


def _size() -> int | None:
    try:
        match = _SIZE.search(Path("/proc/self/status").read_text())
    except OSError:
        return None
    return int(match[1]) * 1024 if match else None
