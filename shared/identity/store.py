"""Where users are kept, and which writes belong together.

An address is claimed by `emails/{keyed hash}`, so a copy of the database cannot be searched for
an address without the key, and two who register the same one at once cannot both win. It is
claimed under every enabled key: processes that disagree about the newest one still collide. Before
a key is disabled, claims.py claims each address that only it has claimed under its successor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from shared.documents import (
    AlreadyExists,
    Create,
    Delete,
    DocumentStore,
    PreconditionFailed,
    Update,
    Write,
)
from shared.events import outbox
from shared.events.model import Event
from shared.identity.links import LIFETIME, Link, Purpose
from shared.identity.model import User
from shared.ids import derived_id

SCHEMA_VERSION = 1
# No id has this form, so nobody is ever found by it.
_NOBODY = "nobody"
# The purpose of the keyed hashes by which addresses are found.
ADDRESS = "address"


class IdentityStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def register(
        self,
        user_id: str,
        data: Mapping[str, Any],
        hashes: Sequence[str],
        event: Event,
        *also: Write,
    ) -> None:
        """Raises AlreadyExists when the address has an owner."""
        claim = {
            "user": user_id,
            "createdAt": data["createdAt"],
            "schemaVersion": SCHEMA_VERSION,
        }
        self._documents.commit(
            [
                *(Create(f"emails/{one}", claim) for one in hashes),
                Create(f"users/{user_id}", {**data, "schemaVersion": SCHEMA_VERSION}),
                *also,
                outbox.stored(event),
            ]
        )

    def user_by_address(self, hashes: Sequence[str]) -> User | None:
        """Two round trips for an unknown address too, or the time of the answer would tell."""
        claims = self._documents.get_all(f"emails/{one}" for one in hashes)
        users = {str(claim.data["user"]) for claim in claims.values()}
        return self.user(users.pop() if users else _NOBODY)

    def user(self, user_id: str) -> User | None:
        document = self._documents.get(f"users/{user_id}")
        return User(user_id, document.data, document.version) if document else None

    def replace_hash(self, user: User, password_hash: str, now: datetime) -> None:
        """Raises PreconditionFailed when the user was changed meanwhile."""
        fields = {"passwordHash": password_hash, "updatedAt": now}
        self._documents.commit([Update(f"users/{user.id}", fields, version=user.version)])

    def change(
        self,
        user: User,
        fields: Mapping[str, Any],
        now: datetime,
        event: Event,
        *also: Write,
    ) -> None:
        """With its event, and what `also` belongs to it. Raises PreconditionFailed when the user
        was changed meanwhile, or what `also` needs is gone."""
        changed = {**fields, "updatedAt": now}
        self._documents.commit(
            [
                Update(f"users/{user.id}", changed, version=user.version),
                *also,
                outbox.stored(event),
            ]
        )

    def moved_claims(
        self, user: User, old: Sequence[str], new: Sequence[str], now: datetime
    ) -> list[Write]:
        """The writes by which the user's claim goes from the hashes of one address to another's."""
        claim = {"user": user.id, "createdAt": now, "schemaVersion": SCHEMA_VERSION}
        freed: list[Write] = [Delete(f"emails/{one}") for one in old if one not in new]
        return [*freed, *(Create(f"emails/{one}", claim) for one in new if one not in old)]

    def make_link(
        self, purpose: Purpose, user: User, cause: str, email: str | None, now: datetime
    ) -> str:
        """The link's id, the same for the same cause; made twice, the first stays."""
        link_id = derived_id("link", purpose, cause)
        data = {
            "purpose": purpose,
            "user": user.id,
            "epoch": user.epoch,
            "moves": user.moves,
            "email": email,
            "createdAt": now,
            "expireAt": now + LIFETIME[purpose],
            "schemaVersion": SCHEMA_VERSION,
        }
        with suppress(AlreadyExists):
            self._documents.commit([Create(f"links/{link_id}", data)])
        return link_id

    def link(self, link_id: str) -> Link | None:
        document = self._documents.get(f"links/{link_id}")
        if document is None:
            return None
        return Link.from_document(link_id, document.data, document.version)


def spent(link: Link) -> Delete:
    """Whoever follows the link second finds it gone."""
    return Delete(f"links/{link.id}", version=link.version)


__all__ = ["ADDRESS", "AlreadyExists", "IdentityStore", "PreconditionFailed", "spent"]
