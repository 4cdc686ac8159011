"""Signing in by another issuer's word, and when its word opens an account that is there already.

An account is found by (issuer, subject), which never changes hands. The first time there is no
such link, and the address decides, which the issuer must vouch for (id_tokens.py):

- nobody has it: an account is made, without a password;
- a confirmed account has it: both proofs are of one mailbox, so it is linked;
- an account has it that was never confirmed: whoever made it did not prove that the address was
  his, and may be lying in wait for its owner. It is linked as well, but the password goes and all
  its sessions end in the same commit, so that the one who proved something is alone in it.
  Source: Sudhodanan, Paverd, "Pre-hijacked accounts" (USENIX Security 2022).

An identity that the owner of the account unlinked (identities.py) opens it only after he linked it
again himself, whatever its address is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.documents import AlreadyExists, Document, DocumentStore, PreconditionFailed
from shared.errors import Forbidden, Unauthenticated, Unavailable
from shared.events import outbox
from shared.http import Source
from shared.identity.addresses import address_key
from shared.identity.grants import Grants
from shared.identity.id_tokens import Proved
from shared.identity.identities import is_unlinked, linked, path_of, written
from shared.identity.keys import MACKeys
from shared.identity.mails import wanted
from shared.identity.model import NO_PASSWORD, IssuersWord, TokenPair, User, UserRegistered
from shared.identity.provider import Provider
from shared.identity.store import ADDRESS, IdentityStore
from shared.ids import derived_id, new_id

# Whoever loses a race meets the winner's state in the next round.
_ROUNDS = 4


class ProviderSignIn:
    def __init__(
        self,
        documents: DocumentStore,
        provider: Provider,
        grants: Grants,
        keys: MACKeys,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._store = IdentityStore(documents)
        self.provider = provider
        self._grants = grants
        self._keys = keys
        self._clock = clock

    def finish(
        self, given: IssuersWord, origin: str | None, source: Source, device: str | None
    ) -> TokenPair:
        """Raises what Provider.prove does, and Forbidden when the issuer vouches for no address
        that could be linked, or the owner of the account unlinked this identity."""
        proved, proof = self.provider.prove(given, origin, source)
        self.provider.use(proof)
        for _ in range(_ROUNDS):
            try:
                user_id, epoch = self._user(proved)
            except (AlreadyExists, PreconditionFailed):
                continue
            return self._grants.start(user_id, epoch, device)
        raise Unavailable("This account is being changed from many sides")

    def _user(self, proved: Proved) -> tuple[str, int]:
        """Id and epoch. Raises AlreadyExists or PreconditionFailed when somebody was faster."""
        link, owner = self._linked(proved)
        # What is left of an erased account has no address, and its link waits for a new one.
        if link and not is_unlinked(link) and owner and owner.fields.get("email"):
            return _open(owner)
        if proved.email is None:
            raise Forbidden("The issuer does not vouch for this address; use a password")
        hashes = [mac.hex() for mac in self._keys.all_macs(ADDRESS, address_key(proved.email))]
        user = self._store.user_by_address(hashes)
        if user is None:
            return self._register(proved, hashes, link), 0
        _open(user)
        if owner is not None and user.id == owner.id:
            raise Forbidden("It was unlinked from its account; sign in with the password")
        return user.id, self._link(proved, user, link)

    def _linked(self, proved: Proved) -> tuple[Document | None, User | None]:
        """Both as of one moment: else a session that is opened while the owner unlinks could have
        the epoch that comes after, and live."""
        path = path_of(proved)
        link = self._documents.get(path)
        if link is None:
            return None, None
        user_path = f"users/{link.data['user']}"
        found = self._documents.get_all([path, user_path])
        link, user = found.get(path), found.get(user_path)
        return link, User(user.id, user.data, user.version) if user else None

    def _link(self, proved: Proved, user: User, link: Document | None) -> int:
        """The user's epoch afterwards."""
        now, epoch = self._clock(), user.epoch
        fields: dict[str, Any] = {}
        if not user.is_verified:
            epoch += 1
            fields = {"passwordHash": NO_PASSWORD, "sessionEpoch": epoch, "verifiedAt": now}
        event = linked(proved, user.id, "confirmed" if user.is_verified else "taken-over", now)
        claim = written(proved, link, user.id, now)
        # Whoever owns the account learns of every way in, and of this one he was not asked.
        mail = wanted("identity-linked", user.email, now, user.id)
        self._store.change(user, fields, now, event, claim, *mail)
        return epoch

    def _register(self, proved: Proved, hashes: Sequence[str], link: Document | None) -> str:
        user_id, now = new_id(), self._clock()
        data = {
            "email": proved.email,
            "passwordHash": NO_PASSWORD,
            "verifiedAt": now,
            "createdAt": now,
            "updatedAt": now,
        }
        event = UserRegistered(
            id=derived_id(UserRegistered.type, user_id), occurred_at=now, owner=user_id
        )
        told = outbox.stored(linked(proved, user_id, "new", now))
        claim = written(proved, link, user_id, now)
        self._store.register(user_id, data, hashes, event, claim, told)
        return user_id


def _open(user: User) -> tuple[str, int]:
    """Raises Unauthenticated for an account that is being erased."""
    if user.is_erasing:
        raise Unauthenticated
    return user.id, user.epoch
