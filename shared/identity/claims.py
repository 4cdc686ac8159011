"""Addresses are found by keyed hashes: before a key goes, all are claimed under its successor.

Every registration claims its address under all enabled keys, so what is missing under the
successor is only what was registered before it was known. A claim is made in the commit that
touches its user at the version read, so neither somebody who is erased meanwhile nor an address
that is given up leaves a claim behind that nobody owns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from shared.documents import (
    AlreadyExists,
    Create,
    Document,
    DocumentStore,
    PreconditionFailed,
    Set,
    Update,
)
from shared.errors import Unavailable
from shared.identity.addresses import address_key
from shared.identity.keys import MACKeys
from shared.identity.store import ADDRESS

SCHEMA_VERSION = 1
# Users in a round: two writes each, of the 500 that a commit takes.
_ROUND = 100
# Seconds; a run of the schedule's function may take 300.
_RUN = 60.0


class AddressClaims:
    def __init__(
        self,
        documents: DocumentStore,
        keys: MACKeys,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents = documents
        self._keys = keys
        self._clock = clock
        self._ticks = ticks

    def renewed(self, key_id: int) -> bool:
        """Whether every address is claimed under the key; does a part of what is missing, and
        goes on next time where it stopped. Raises Unavailable."""
        path = f"migrations/address-claims-{key_id}"
        progress = self._documents.get(path)
        after = progress.data["after"] if progress else None
        if progress and progress.data["done"]:
            return True
        end = self._ticks() + _RUN
        while self._ticks() < end:
            users = self._documents.query(
                "users",
                order=[("__name__", "ASCENDING")],
                start_after=None if after is None else [after],
                limit=_ROUND,
            )
            self._claim(key_id, users)
            done = len(users) < _ROUND
            after = users[-1].id if users else after
            fields = {"after": after, "done": done, "updatedAt": self._clock()}
            self._documents.commit([Set(path, fields)])
            if done:
                return True
        return False

    def _claim(self, key_id: int, users: Sequence[Document]) -> None:
        missing = self._missing(key_id, users)
        if not missing:
            return
        try:
            self._documents.commit([write for writes in missing for write in writes])
        except (AlreadyExists, PreconditionFailed):
            for writes in missing:
                self._claim_one(key_id, writes)

    def _claim_one(self, key_id: int, writes: Sequence[Create | Update]) -> None:
        """Somebody in the round changed meanwhile; most likely not this one."""
        user_path = writes[1].path
        for _ in range(3):
            with suppress(AlreadyExists, PreconditionFailed):
                self._documents.commit(writes)
                return
            user = self._documents.get(user_path)
            again = self._missing(key_id, [user] if user else [])
            if not again:
                return
            writes = again[0]
        raise Unavailable("A user is being changed from many sides")

    def _missing(
        self, key_id: int, users: Sequence[Document]
    ) -> list[tuple[Create | Update, Create | Update]]:
        wanted = {self._path(key_id, user): user for user in users if user.data.get("email")}
        present = self._documents.get_all(wanted)
        return [
            (
                Create(
                    path,
                    {
                        "user": user.id,
                        "createdAt": user.data["createdAt"],
                        "schemaVersion": SCHEMA_VERSION,
                    },
                ),
                Update(user.path, version=user.version),
            )
            for path, user in wanted.items()
            if path not in present
        ]

    def _path(self, key_id: int, user: Document) -> str:
        mac = self._keys.mac(key_id, ADDRESS, address_key(str(user.data["email"])))
        if mac is None:
            raise Unavailable("The key is not known here yet")
        return f"emails/{mac.hex()}"
