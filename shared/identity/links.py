"""The tokens in mailed links: `id.key.mac`, good once, for one purpose, for a while.

The token is made again from its id when the mail is sent again, so it is stored nowhere: what is
kept under its id is whom it is for, until when, and the state of the account that it was made in.
A password or an address that was changed, or sessions that were all ended since, make it worthless:
what lies in a mailbox that the account has left must not open it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self

from shared.identity.keys import MACKeys

Purpose = Literal["verify-email", "reset-password", "change-email"]
# Who registers may look at his mail tomorrow; a reset is wanted now.
LIFETIME: Mapping[Purpose, timedelta] = {
    "verify-email": timedelta(days=2),
    "reset-password": timedelta(hours=1),
    "change-email": timedelta(hours=2),
}
_FORM = re.compile(r"(?P<id>[a-z2-7]{20})\.(?P<key>[1-9][0-9]{0,9})\.(?P<mac>[A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Link:
    """What is stored of one; `epoch` (session_model.epoch_of) and `moves` are the user's when it
    was made, `email` is the address to change to."""

    id: str
    purpose: Purpose
    user: str
    epoch: int
    expires_at: datetime
    email: str | None
    moves: int
    version: Any

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        return cls(
            identifier,
            data["purpose"],
            str(data["user"]),
            int(data["epoch"]),
            data["expireAt"],
            data.get("email"),
            int(data.get("moves", 0)),
            version,
        )


class LinkTokens:
    def __init__(self, keys: MACKeys) -> None:
        self._keys = keys

    def make(self, link_id: str, purpose: Purpose) -> str:
        signed = f"{link_id}.{(key := self._keys.current_id())}"
        return f"{signed}.{self._mac(key, purpose, signed)}"

    def read(self, token: str, purpose: Purpose) -> str | None:
        """The link's id; None for everything that we did not make for this purpose."""
        found = _FORM.fullmatch(token)
        if found is None:
            return None
        expected = self._mac(int(found["key"]), purpose, token.rpartition(".")[0])
        # Texts are compared, not bytes: 43 characters hold two bits more than a MAC has.
        if expected is None or not hmac.compare_digest(expected, found["mac"]):
            return None
        return found["id"]

    def _mac(self, key: int, purpose: Purpose, signed: str) -> str | None:
        mac = self._keys.mac(key, f"link:{purpose}", signed)
        return None if mac is None else base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
