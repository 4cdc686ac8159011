"""Passwords that are guessed first, whoever they belong to: known here, without asking anybody.

The list is made of public lists of leaked passwords (docs/licenses/common-passwords.txt), from
eight characters on, which is the lowest floor. It stays one text and is searched as one: 0.2 MB
and below half a millisecond a look, where a set would take ten times the memory and be built at
every cold start. What a rule describes better than a list is a rule: one unit repeated, a walk
over the keyboard.
No rule asks for digits or signs (NIST SP 800-63B, section 3.1.1.2).
"""

from __future__ import annotations

import threading
from pathlib import Path

_FILE = Path(__file__).with_name("common_passwords.txt")
_ROW = "1234567890qwertyuiopasdfghjklzxcvbnm"
_SEQUENCES = (_ROW * 2, "0123456789" * 3, "abcdefghijklmnopqrstuvwxyz" * 2)
_WALKS = "\n".join([*_SEQUENCES, *(sequence[::-1] for sequence in _SEQUENCES)])
# What this product is called is what many would add first.
_PRODUCT = "snaptask"


class Blocklist:
    """Reads its file at the first look."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._text = b""

    def holds(self, password: str, address: str) -> bool:
        """Whether `password` (normalized) is among the first guesses for anybody, or for the
        owner of `address`."""
        folded = password.casefold()
        own = {address.casefold(), address.casefold().partition("@")[0], _PRODUCT}
        return folded in own or _is_repetition(folded) or folded in _WALKS or self._lists(folded)

    def _lists(self, folded: str) -> bool:
        if "\n" in folded:
            return False
        with self._lock:
            self._text = self._text or b"\n" + _FILE.read_bytes()
        return b"\n%b\n" % folded.encode() in self._text


def _is_repetition(text: str) -> bool:
    """Whether a shorter text, told several times, makes it: then it turns up inside of itself."""
    return text in (text + text)[1:-1]
