"""Mails that are wanted: kept in the commit that wants them, sent by a function of their own.

The event holds an id only. `mails/{id}` holds the address until the mail is sent, and what the
mail says, and whether there is anybody to say it to, is decided when it is sent: so the request
that wanted it does the same work for an address that nobody has.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, Self

from shared.documents import Create, Delete, DocumentStore, PreconditionFailed, Update
from shared.errors import Unavailable
from shared.events import outbox
from shared.events.model import Event
from shared.ids import derived_id, new_id

SCHEMA_VERSION = 1
Kind = Literal[
    "registration",
    "password-reset",
    "email-change",
    "password-changed",
    "email-changed",
    "account-erased",
    "identity-linked",
    "identity-unlinked",
]
Outcome = Literal["sent", "refused", "nobody"]
# A mail server that was down for longer has lost its readers' patience: they asked again.
_WANTED_FOR = timedelta(days=1)
# Longer than a delivery may take; after that its sender died, and another one sends.
_CLAIMED_FOR = timedelta(minutes=5)


class MailRequested(Event):
    """A mail waits under the event's id. `owner` is empty: whose address it is, if anybody's,
    is known when it is sent."""

    type: ClassVar[str] = "snaptask.identity.v1.mail-requested"


class MailHandled(Event):
    """A mail to the owner left (`sent`), or the server will never take it (`refused`)."""

    type: ClassVar[str] = "snaptask.identity.v1.mail-handled"
    kind: Kind
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WantedMail:
    """`user` is who wanted it, where that is known when it is wanted, and `state` what his account
    was like then (User.state), where the mail is good for that account only. `claim` tells one
    delivery's claim from another's."""

    id: str
    kind: Kind
    email: str
    user: str | None
    state: str | None
    expires_at: datetime
    claimed_until: datetime | None
    claim: str | None
    version: Any

    @classmethod
    def from_document(cls, identifier: str, data: Mapping[str, Any], version: Any) -> Self:
        return cls(
            identifier,
            data["kind"],
            str(data["email"]),
            data.get("user"),
            data.get("state"),
            data["expireAt"],
            data.get("claimedUntil"),
            data.get("claim"),
            version,
        )


def wanted(
    kind: Kind, email: str, now: datetime, user: str | None = None, state: str | None = None
) -> list[Create]:
    """The writes that belong into the commit which wants the mail."""
    mail_id = new_id()
    data = {
        "kind": kind,
        "email": email,
        "user": user,
        "state": state,
        "createdAt": now,
        "expireAt": now + _WANTED_FOR,
        "claimedUntil": None,
        "schemaVersion": SCHEMA_VERSION,
    }
    event = MailRequested(id=mail_id, occurred_at=now, owner="")
    return [Create(f"mails/{mail_id}", data), outbox.stored(event)]


class MailStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def want(
        self,
        kind: Kind,
        email: str,
        now: datetime,
        user: str | None = None,
        state: str | None = None,
    ) -> None:
        self._documents.commit(wanted(kind, email, now, user, state))

    def claim(self, mail_id: str, now: datetime) -> WantedMail | None:
        """Ours to send; None when it was sent, or is too old to be. Raises Unavailable while
        another delivery has it."""
        document = self._documents.get(f"mails/{mail_id}")
        if document is None:
            return None
        mail = WantedMail.from_document(mail_id, document.data, document.version)
        if mail.expires_at <= now:
            return None
        if mail.claimed_until is not None and mail.claimed_until > now:
            raise Unavailable("This mail is being sent")
        mine = new_id()
        claim = {"claimedUntil": now + _CLAIMED_FOR, "claim": mine}
        try:
            self._documents.commit([Update(f"mails/{mail_id}", claim, version=mail.version)])
        except PreconditionFailed:
            raise Unavailable("This mail is being sent") from None
        except Unavailable:
            # It may have got through, and would keep the mail waiting with nobody to send it.
            self._release(mail_id, mine)
            raise
        return replace(mail, claim=mine)

    def release(self, mail: WantedMail) -> None:
        """The next delivery may try at once."""
        self._release(mail.id, mail.claim)

    def _release(self, mail_id: str, claim: str | None) -> None:
        """As far as that is possible now; a claim ends by itself as well. Written without one
        too: a claim that is still under way then meets another version."""
        with suppress(Unavailable, PreconditionFailed):
            found = self._documents.get(f"mails/{mail_id}")
            if found is not None and found.data.get("claim") in (None, claim):
                free = {"claimedUntil": None, "claim": None}
                self._documents.commit([Update(found.path, free, version=found.version)])

    def finish(self, mail: WantedMail, owner: str, outcome: Outcome, now: datetime) -> None:
        """Forget the mail with its address."""
        event = MailHandled(
            id=derived_id(MailHandled.type, mail.id),
            occurred_at=now,
            owner=owner,
            kind=mail.kind,
            outcome=outcome,
        )
        self._documents.commit([Delete(f"mails/{mail.id}"), outbox.stored(event)])
