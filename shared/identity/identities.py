"""Who somebody is to another issuer: seen, linked and unlinked by the owner of the account.

Either change is one that lets somebody in or keeps somebody out for good, so it takes the
password, as moving to another address does; a stolen session alone is not enough. An account
without one changes nothing here until it has set one by mail: that keeps its only way in.

What was unlinked stays written down. An issuer that vouches for the account's own address would
else link itself again at the next sign-in, against the owner's word (sign_in.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from shared.documents import (
    AlreadyExists,
    Create,
    Document,
    DocumentStore,
    PreconditionFailed,
    Update,
    Where,
    Write,
)
from shared.errors import Conflict, Invalid, NotFound, Unauthenticated, Unavailable
from shared.events.model import Event
from shared.http import Principal, Source
from shared.identity.accounts import Accounts
from shared.identity.mails import wanted
from shared.identity.model import IdentityView, IssuersWord, SignInStart, User, WaysIn
from shared.identity.store import IdentityStore
from shared.ids import checked_id, derived_id, new_id

if TYPE_CHECKING:
    from shared.identity.id_tokens import Proved
    from shared.identity.provider import Provider

How = Literal["new", "confirmed", "taken-over", "asked"]
SCHEMA_VERSION = 1
# A person has one or two at an issuer. More are linked by nobody who is in his right mind; those
# that linked themselves by the address (sign_in.py) are shown as well, as many as one page takes.
MOST, _SHOWN = 10, 100
# Whoever loses a race meets the winner's state in the next round.
_ROUNDS = 4
_COLLECTION = "identities"


class IdentityLinked(Event):
    """From now on the user signs in by another issuer's word too; `how` says what the account was
    before: `new`, `confirmed`, or `taken-over`, when nobody had ever confirmed it; or that its
    owner, signed in, `asked` for it."""

    type: ClassVar[str] = "snaptask.identity.v1.identity-linked"
    issuer: str
    how: How


class IdentityUnlinked(Event):
    """The issuer's word for this identity opens the account no more, and every session but the
    one named has ended: one of them may have been opened by it."""

    type: ClassVar[str] = "snaptask.identity.v1.identity-unlinked"
    issuer: str
    session: str


class Identities:
    def __init__(
        self,
        documents: DocumentStore,
        accounts: Accounts,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._store = IdentityStore(documents)
        self._accounts = accounts
        self._clock = clock

    def of_user(self, caller: Principal) -> WaysIn:
        user = self._accounts.present(caller)
        found = self._linked(user)
        return WaysIn(has_password=user.has_password, items=tuple(map(_view, found)))

    def start(
        self, provider: Provider, caller: Principal, password: str, origin: str | None
    ) -> SignInStart:
        """What is begun here only this session can end, and only while the password that was said
        is the account's. Raises Conflict for an account that may not be the caller's: who waits in
        it for its owner (sign_in.py) must not stay in by this."""
        user = self._confirmed(caller, password)
        if not user.is_verified:
            raise Conflict("Confirm your address first: open the link in your mail")
        return provider.start(origin, _bound(caller, user))

    def link(
        self,
        provider: Provider,
        caller: Principal,
        given: IssuersWord,
        origin: str | None,
        source: Source,
    ) -> IdentityView:
        """The same again changes nothing. Raises Conflict when it opens another account."""
        user = self._accounts.present(caller)
        try:
            proved, proof = provider.prove(given, origin, source, _bound(caller, user))
            done = self._already(caller, self._documents.get(path_of(proved)))
            if done is not None:
                return done
            provider.use(proof)
        except Unauthenticated:
            # 401 would sign the client out.
            raise _proves_nothing() from None
        for _ in range(_ROUNDS):
            try:
                return self._link(caller, proved, user.epoch)
            except (AlreadyExists, PreconditionFailed):
                continue
        raise Unavailable("This account is being changed from many sides")

    def unlink(self, caller: Principal, identity_id: str, password: str) -> None:
        """Ends every session but the caller's. Raises NotFound for one that is not his."""
        identity = self._documents.get(f"{_COLLECTION}/{checked_id(identity_id)}")
        if identity is None or identity.data["user"] != caller.user or is_unlinked(identity):
            raise NotFound
        user = self._confirmed(caller, password)
        now, epoch = self._clock(), user.epoch + 1
        event = IdentityUnlinked(
            id=new_id(),
            occurred_at=now,
            owner=user.id,
            issuer=str(identity.data["issuer"]),
            session=caller.session,
        )
        off = {"isLinked": False, "unlinkedAt": now}
        gone = Update(identity.path, off, version=identity.version)
        kept = Update(f"sessions/{caller.session}", {"epoch": epoch})
        mail = wanted("identity-unlinked", user.email, now, user.id)
        try:
            self._store.change(user, {"sessionEpoch": epoch}, now, event, gone, kept, *mail)
        except PreconditionFailed:
            raise Conflict("The account was changed meanwhile; try again") from None

    def _already(self, caller: Principal, identity: Document | None) -> IdentityView | None:
        """None when nobody's account is opened by it. Raises Conflict when another's is, which
        who has proved to be this somebody may know: it is his own."""
        if identity is None or is_unlinked(identity):
            return None
        if identity.data["user"] == caller.user:
            return _view(identity)
        owner = self._store.user(str(identity.data["user"]))
        # What is left of an erased account has no address, and its link waits for a new one.
        if owner is not None and owner.fields.get("email"):
            raise Conflict("This identity opens another account; sign in by it and unlink it there")
        return None

    def _link(self, caller: Principal, proved: Proved, epoch: int) -> IdentityView:
        """Raises Invalid when the account has another epoch by now: while the issuer was asked, the
        owner set another password, which is meant to end what was begun with the old one."""
        user, now = self._accounts.present(caller), self._clock()
        if user.epoch != epoch:
            raise _proves_nothing()
        # Judged by the very state that is written over: read again, it might be linked by then.
        present = self._documents.get(path_of(proved))
        if (done := self._already(caller, present)) is not None:
            return done
        if len(self._linked(user)) >= MOST:
            raise Conflict("The account has as many of them as it can have")
        event = linked(proved, user.id, "asked", now)
        mail = wanted("identity-linked", user.email, now, user.id)
        write = written(proved, present, user.id, now)
        self._store.change(user, {}, now, event, write, *mail)
        return IdentityView(
            id=_id_of(proved), issuer=proved.issuer, email=proved.email, linked_at=now
        )

    def _linked(self, user: User) -> list[Document]:
        where: list[Where] = [("user", "==", user.id), ("isLinked", "==", True)]
        return self._documents.query(_COLLECTION, where=where, limit=_SHOWN)

    def _confirmed(self, caller: Principal, password: str) -> User:
        user = self._accounts.present(caller)
        if not user.has_password:
            raise Conflict("Set a password first: without one this is the only way in")
        self._accounts.confirm(user, password, "/password")
        return user


def _id_of(proved: Proved) -> str:
    return derived_id(proved.issuer, proved.subject)


def path_of(proved: Proved) -> str:
    return f"{_COLLECTION}/{_id_of(proved)}"


def is_unlinked(identity: Document) -> bool:
    return not identity.data.get("isLinked", True)


def linked(proved: Proved, user_id: str, how: How, now: datetime) -> IdentityLinked:
    return IdentityLinked(
        id=new_id(), occurred_at=now, owner=user_id, issuer=proved.issuer, how=how
    )


def written(proved: Proved, present: Document | None, user_id: str, now: datetime) -> Write:
    """Meets nothing, or what was read as `present`."""
    fields: dict[str, Any] = {
        "user": user_id,
        "issuer": proved.issuer,
        "email": proved.email,
        "linkedAt": now,
        "isLinked": True,
        "schemaVersion": SCHEMA_VERSION,
    }
    if present is None:
        return Create(path_of(proved), fields)
    return Update(present.path, fields, version=present.version)


def _bound(caller: Principal, user: User) -> str:
    """The epoch is another one after every change of the password."""
    return f"{caller.user}.{caller.session}.{user.epoch}"


def _view(identity: Document) -> IdentityView:
    return IdentityView(
        id=identity.id,
        issuer=str(identity.data["issuer"]),
        email=identity.data.get("email"),
        linked_at=identity.data["linkedAt"],
    )


def _proves_nothing() -> Invalid:
    message = "is used, too old, or proves nothing to this session; start again"
    return Invalid(errors=[{"pointer": "/proof", "message": message}])
