"""Signing in by another issuer's word, and when its word opens an account that is there already.

An account is found by (issuer, subject), which never changes hands. The first time there is no
such link, and the address decides, which the issuer must vouch for (id_tokens.py):

- nobody has it: an account is made, without a password;
- a confirmed account has it: both proofs are of one mailbox, so it is linked;
- an account has it that was never confirmed: whoever made it did not prove that the address was
  his, and may be lying in wait for its owner. It is linked as well, but the password goes and all
  its sessions end in the same commit, so that the one who proved something is alone in it.
  Source: Sudhodanan, Paverd, "Pre-hijacked accounts" (USENIX Security 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

from shared.documents import (
    AlreadyExists,
    Create,
    Document,
    DocumentStore,
    PreconditionFailed,
    Update,
    Write,
)
from shared.errors import Forbidden, Unauthenticated, Unavailable
from shared.events import outbox
from shared.events.model import Event
from shared.identity.addresses import address_key
from shared.identity.grants import Grants
from shared.identity.id_tokens import IDTokens, Proved
from shared.identity.keys import MACKeys
from shared.identity.model import IDTokenGiven, SignInStart, TokenPair, User, UserRegistered
from shared.identity.passwords import unusable_hash
from shared.identity.proofs import LIFETIME, Proofs
from shared.identity.store import ADDRESS, IdentityStore
from shared.ids import derived_id, new_id

How = Literal["new", "confirmed", "taken-over"]
SCHEMA_VERSION = 1
# Whoever loses a race meets the winner's state in the next round.
_ROUNDS = 4


class IdentityLinked(Event):
    """From now on the user signs in by another issuer's word too; `how` says what the account was
    before: `new`, `confirmed`, or `taken-over`, when nobody had ever confirmed it."""

    type: ClassVar[str] = "snaptask.identity.v1.identity-linked"
    issuer: str
    how: How


class ProviderSignIn:
    def __init__(
        self,
        documents: DocumentStore,
        tokens: IDTokens,
        grants: Grants,
        keys: MACKeys,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._store = IdentityStore(documents)
        self._tokens = tokens
        self._grants = grants
        self._keys = keys
        self._proofs = Proofs(documents, keys, clock)
        self._clock = clock

    def start(self) -> SignInStart:
        proof, nonce = self._proofs.make()
        return SignInStart(
            issuer=self._tokens.issuer,
            client_id=self._tokens.client_id,
            nonce=nonce,
            proof=proof,
            expires_in=int(LIFETIME.total_seconds()),
        )

    def finish(self, given: IDTokenGiven, device: str | None) -> TokenPair:
        """Raises Unauthenticated, and Forbidden when the issuer vouches for no address that could
        be linked."""
        proved = self._tokens.verify(given.id_token, self._proofs.nonce(given.proof))
        self._proofs.use(given.proof)
        for _ in range(_ROUNDS):
            try:
                user_id, epoch = self._user(proved)
            except (AlreadyExists, PreconditionFailed):
                continue
            return self._grants.start(user_id, epoch, device)
        raise Unavailable("This account is being changed from many sides")

    def _user(self, proved: Proved) -> tuple[str, int]:
        """Id and epoch. Raises AlreadyExists or PreconditionFailed when somebody was faster."""
        path = f"identities/{derived_id(proved.issuer, proved.subject)}"
        link = self._documents.get(path)
        user = self._store.user(str(link.data["user"])) if link else None
        # What is left of an erased account has no address, and its link waits for a new one.
        if user is not None and user.fields.get("email"):
            return _open(user)
        if proved.email is None:
            raise Forbidden("The issuer does not vouch for this address; use a password")
        hashes = [mac.hex() for mac in self._keys.all_macs(ADDRESS, address_key(proved.email))]
        user = self._store.user_by_address(hashes)
        if user is None:
            return self._register(proved, hashes, path, link), 0
        _open(user)
        return user.id, self._link(proved, user, path, link)

    def _link(self, proved: Proved, user: User, path: str, link: Document | None) -> int:
        """The user's epoch afterwards."""
        now, epoch = self._clock(), user.epoch
        fields: dict[str, Any] = {}
        if not user.is_verified:
            epoch += 1
            fields = {"passwordHash": unusable_hash(), "sessionEpoch": epoch, "verifiedAt": now}
        event = _linked(proved, user.id, "confirmed" if user.is_verified else "taken-over", now)
        self._store.change(user, fields, now, event, _written(proved, path, link, user.id, now))
        return epoch

    def _register(
        self, proved: Proved, hashes: Sequence[str], path: str, link: Document | None
    ) -> str:
        user_id, now = new_id(), self._clock()
        data = {
            "email": proved.email,
            "passwordHash": unusable_hash(),
            "verifiedAt": now,
            "createdAt": now,
            "updatedAt": now,
        }
        event = UserRegistered(
            id=derived_id(UserRegistered.type, user_id), occurred_at=now, owner=user_id
        )
        told = outbox.stored(_linked(proved, user_id, "new", now))
        written = _written(proved, path, link, user_id, now)
        self._store.register(user_id, data, hashes, event, written, told)
        return user_id


def _open(user: User) -> tuple[str, int]:
    """Raises Unauthenticated for an account that is being erased."""
    if user.is_erasing:
        raise Unauthenticated
    return user.id, user.epoch


def _linked(proved: Proved, user_id: str, how: How, now: datetime) -> IdentityLinked:
    return IdentityLinked(
        id=derived_id(IdentityLinked.type, proved.issuer, proved.subject, user_id),
        occurred_at=now,
        owner=user_id,
        issuer=proved.issuer,
        how=how,
    )


def _written(
    proved: Proved, path: str, present: Document | None, user_id: str, now: datetime
) -> Write:
    fields = {
        "user": user_id,
        "issuer": proved.issuer,
        "linkedAt": now,
        "schemaVersion": SCHEMA_VERSION,
    }
    if present is None:
        return Create(path, fields)
    return Update(path, fields, version=present.version)
