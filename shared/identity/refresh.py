"""Refresh tokens: `session.counter.key.mac`. Nothing of them is stored but the counter, so a
copy of the database signs nobody in, and the successor of a token can be told a second time."""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass

from shared.identity.keys import MACKeys

_PURPOSE = "refresh-token"
_FORM = re.compile(
    r"(?P<session>[a-z2-7]{20})\.(?P<counter>0|[1-9][0-9]{0,9})\.(?P<key>[1-9][0-9]{0,9})"
    r"\.(?P<mac>[A-Za-z0-9_-]{43})"
)


@dataclass(frozen=True, slots=True)
class Presented:
    """What a genuine token says."""

    session: str
    counter: int


class RefreshTokens:
    def __init__(self, keys: MACKeys) -> None:
        self._keys = keys

    def make(self, session: str, counter: int) -> str:
        """The same token for the same arguments, as long as the key is the same."""
        signed = f"{session}.{counter}.{(key := self._keys.current_id())}"
        return f"{signed}.{self._mac(key, signed)}"

    def read(self, token: str) -> Presented | None:
        """None for everything that we did not make."""
        found = _FORM.fullmatch(token)
        if found is None:
            return None
        expected = self._mac(int(found["key"]), token.rpartition(".")[0])
        # Texts are compared, not bytes: 43 characters hold two bits more than a MAC has.
        if expected is None or not hmac.compare_digest(expected, found["mac"]):
            return None
        return Presented(found["session"], int(found["counter"]))

    def _mac(self, key: int, signed: str) -> str | None:
        mac = self._keys.mac(key, _PURPOSE, signed)
        return None if mac is None else base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
