"""Passwords: argon2id, a few at a time, and the same work for an address that nobody has.

A password is compared in NFKC, as NIST SP 800-63B advises: the same key presses give the same
password on every keyboard. Its length is counted in code points of that form.
"""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.errors import Invalid, Unavailable
from shared.identity.blocklist import Blocklist

# OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane; about 22 ms of one core.
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1
# Two hashes keep a core busy and take 38 MiB; twenty would take 0.4 GB of the function's 0.5.
_AT_ONCE = 2
# Of the function's 16 threads two stay free for what needs no hash; the last of twelve waits
# about 0.3 s.
_WAITING = 12
# Seconds. Only a stalled machine makes anybody wait so long.
_PATIENCE = 3.0


class Passwords:
    """Raises Unavailable from `hash` and `verify` when too many come at once."""

    def __init__(
        self, *, memory_kib: int = _MEMORY_KIB, passes: int = _PASSES, lanes: int = _LANES
    ) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._nobodys = _nobodys_hash(memory_kib, passes, lanes)
        self._gate = Gate(_AT_ONCE, _WAITING, _PATIENCE)

    def hash(self, password: str) -> str:
        with self._gate.entered():
            return self._hasher.hash(normalized(password))

    def verify(self, stored: str | None, password: str) -> bool:
        """False without a stored hash (None or "") too, after the same work."""
        with self._gate.entered():
            try:
                matches = self._hasher.verify(stored or self._nobodys, normalized(password))
            except (VerificationError, InvalidHashError):
                return False
        return matches and bool(stored)

    def is_outdated(self, stored: str) -> bool:
        """Whether `stored` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)


class PasswordPolicy:
    """What a new password must be; one that was taken stays good when the rules change. `floor`
    is in code points. Nothing is asked of its composition."""

    def __init__(self, floor: int) -> None:
        self._floor = floor
        self._blocklist = Blocklist()

    def check(self, password: str, address: str, pointer: str = "/password") -> None:
        """`address` is whose password it will be. Raises Invalid."""
        wanted = normalized(password)
        if len(wanted) < self._floor:
            raise _unfit(pointer, f"needs at least {self._floor} characters")
        if self._blocklist.holds(wanted, address):
            raise _unfit(pointer, "is one of those that are guessed first")


def _unfit(pointer: str, message: str) -> Invalid:
    return Invalid(errors=[{"pointer": pointer, "message": message}])


class Gate:
    """Lets `at_once` in and `waiting` queue for up to `patience` seconds; raises Unavailable for
    everybody beyond."""

    def __init__(self, at_once: int, waiting: int, patience: float) -> None:
        self._places = threading.Semaphore(at_once + waiting)
        self._running = threading.Semaphore(at_once)
        self._patience = patience

    @contextmanager
    def entered(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Unavailable("Too many sign-ins at once")
        try:
            if not self._running.acquire(timeout=self._patience):
                raise Unavailable("Too many sign-ins at once")
            try:
                yield
            finally:
                self._running.release()
        finally:
            self._places.release()


def normalized(password: str) -> str:
    return unicodedata.normalize("NFKC", password)


def _nobodys_hash(memory_kib: int, passes: int, lanes: int) -> str:
    """Verifying against it costs what any other costs. Its digest is random, so that no password
    fits, and nothing is hashed at start-up to make it."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (16, 32)
    )
    return f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}"
