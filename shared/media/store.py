"""Where media are kept, and which writes belong together.

Every change of a medium is one commit of: the medium, guarded by the version that was read (the
first one by its id); the event that says so; what it moves in the owner's usage; and, when bytes
are shared, the count of those who stand on them. So of two handlers of one delivery exactly one
commits, and event and quota are right exactly when the state is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.documents import (
    Add,
    AlreadyExists,
    Create,
    Delete,
    Document,
    DocumentStore,
    Order,
    PreconditionFailed,
    Update,
    Where,
    Write,
)
from shared.events.model import Event
from shared.events.outbox import stored
from shared.ids import derived_id
from shared.media.blobs import Blob, blob_path, first
from shared.media.charges import NAMES, difference
from shared.media.model import (
    COMING,
    VISIBLE,
    MediaAnnounced,
    MediaErased,
    Medium,
    State,
    media_name,
)

_NEWEST_FIRST: tuple[Order, ...] = (("createdAt", "DESCENDING"), ("__name__", "DESCENDING"))
_OLDEST_EXPIRY: tuple[Order, ...] = (("uploadExpiresAt", "ASCENDING"), ("__name__", "ASCENDING"))
SCHEMA_VERSION = 1
# What a tombstone keeps: enough that late events lose and usage and objects are settled, nothing
# of what the person made of it.
_KEPT = frozenset(
    {
        *("owner", "state", "size", "createdAt", "updatedAt", "uploadExpiresAt", "schemaVersion"),
        *("generation", "stored", "blob", "heldUntil", "leftover", "leftoverAt", "commitId"),
    }
)
# Events are forgotten after a day and dead letters kept a week; a month of tombstones is enough.
_TOMBSTONE = timedelta(days=30)
# As long as the trash keeps what was ready: time enough to read why it was refused.
_REFUSED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes, and how many media take the used ones; the trash is part of both. `places` are those
    of all media that are not deleted."""

    used: int = 0
    reserved: int = 0
    count: int = 0
    trashed: int = 0
    places: int = 0
    document: Document | None = None

    @property
    def taken(self) -> int:
        return self.used + self.reserved


class MediaStore:
    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents

    def create(self, media_id: str, data: Mapping[str, Any]) -> Medium:
        """One pending medium, whatever room there is. Raises AlreadyExists."""
        self.announce({media_id: data})
        return Medium.from_document(media_id, {**data, "state": "pending"}, None)

    def announce(self, drafts: Mapping[str, Mapping[str, Any]], seen: Usage | None = None) -> Usage:
        """Make pending media of one owner and reserve their bytes; returns what is taken
        after that. With `seen`, only if the usage is still that one: raises PreconditionFailed.
        Raises AlreadyExists."""
        owner = str(next(iter(drafts.values()))["owner"])
        writes: list[Write] = []
        for media_id, draft in drafts.items():
            whole = {**draft, "state": "pending", "schemaVersion": SCHEMA_VERSION}
            event = MediaAnnounced(
                id=derived_id(MediaAnnounced.type, media_id),
                occurred_at=draft["createdAt"],
                owner=owner,
                media_id=media_id,
            )
            writes += [Create(f"media/{media_id}", whole), stored(event, draft.get("traceparent"))]
        size = sum(int(draft["size"]) for draft in drafts.values())
        writes.append(_reservation(owner, size, len(drafts), seen))
        if seen is not None:
            self._documents.commit(writes)
            places = seen.places + len(drafts)
            return Usage(seen.used, seen.reserved + size, places=places)
        sums = self._documents.commit_counted(writes)[f"usage/{owner}"]
        told = (sums.get(name, 0) for name in ("usedBytes", "reservedBytes", "places"))
        used, reserved, places = told
        return Usage(used, reserved, places=places)

    def usage(self, owner: str) -> Usage:
        return self.usage_and_media(owner, ())[0]

    def usage_and_media(
        self, owner: str, media_ids: Sequence[str]
    ) -> tuple[Usage, dict[str, Medium]]:
        """In one round trip, so that neither is older than the other."""
        path = f"usage/{owner}"
        found = self._documents.get_all([path, *(f"media/{one}" for one in media_ids)])
        usage = found.pop(path, None)
        return _usage(usage), {doc.id: _medium(doc) for doc in found.values()}

    def get(self, media_id: str) -> Medium | None:
        document = self._documents.get(f"media/{media_id}")
        return _medium(document) if document else None

    def get_all(self, media_ids: Sequence[str]) -> list[Medium]:
        """Those that exist, in the order asked for."""
        found = self._documents.get_all([f"media/{media_id}" for media_id in media_ids])
        documents = [found.get(f"media/{media_id}") for media_id in media_ids]
        return [_medium(document) for document in documents if document is not None]

    def gone(self, media_ids: Sequence[str], before: datetime) -> set[str]:
        """Those of which there is nothing, or a tombstone from before that moment."""
        left = {
            medium.id
            for medium in self.get_all(media_ids)
            if medium.state != "deleted" or medium.fields["updatedAt"] > before
        }
        return set(media_ids) - left

    def find(
        self,
        owner: str,
        state: State | None,
        kind: str | None,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> list[Medium]:
        """`kind` is a Kind or a ContentType."""
        states = list(VISIBLE) if state is None else [state]
        where: list[Where] = [("owner", "==", owner), ("state", "in", states)]
        if kind is not None:
            where.append(("contentType" if "/" in kind else "kind", "==", kind))
        documents = self._documents.query(
            "media", where=where, order=_NEWEST_FIRST, start_after=after, limit=limit
        )
        return [_medium(document) for document in documents]

    def overdue(
        self, before: datetime, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[Medium]:
        """Pending ones whose upload had to end before that moment, the oldest first; `after` is
        such an end, and the medium's id."""
        documents = self._documents.query(
            "media",
            where=[("state", "==", "pending"), ("uploadExpiresAt", "<", before)],
            order=_OLDEST_EXPIRY,
            start_after=after,
            limit=limit,
        )
        return [_medium(document) for document in documents]

    def scanning(self, limit: int) -> list[Medium]:
        """Those that arrived and have no verdict yet, the first announced first."""
        documents = self._documents.query(
            "media", where=[("state", "==", "scanning")], order=_OLDEST_EXPIRY, limit=limit
        )
        return [_medium(document) for document in documents]

    def due(self, field: str, before: datetime, limit: int) -> list[Medium]:
        """Those whose `field` names a moment before that one, the oldest first: `eraseAt` of the
        trash and of what was refused, `heldUntil` of reservations, `leftoverAt` of bytes to
        delete. Whoever settles one takes the field away, so each has only what is waiting."""
        documents = self._documents.query(
            "media", where=[(field, "<", before)], order=[(field, "ASCENDING")], limit=limit
        )
        return [_medium(document) for document in documents]

    def of_owner(self, owner: str, limit: int) -> list[Medium]:
        """Some of all of his, tombstones too."""
        found = self._documents.query("media", where=[("owner", "==", owner)], limit=limit)
        return [_medium(document) for document in found]

    def twin(self, owner: str, sha256: str) -> Blob | None:
        """The same bytes, when the owner has them already."""
        document = self._documents.get(blob_path(owner, sha256))
        return Blob.from_document(document) if document else None

    def change(
        self,
        medium: Medium,
        state: State,
        fields: Mapping[str, Any],
        event: Event,
        *,
        twin: Blob | None = None,
        remove: tuple[str, ...] = (),
    ) -> None:
        """Move to `state` with everything that belongs to it, in one commit. Raises
        PreconditionFailed when `medium` is no longer the present state, or `twin` not the one
        present blob of these bytes: read again.

        Ready with a `sha256` shares its bytes: on `twin` when there is one, else as the first.
        """
        changed = dict(fields)
        beside: list[Write] = []
        if state == "ready" and medium.state in COMING and "sha256" in changed:
            beside.append(_shared(medium, changed, twin, event.occurred_at))
        if state == "rejected":
            changed["eraseAt"] = event.occurred_at + _REFUSED
        if state == "deleted":
            if medium.state in COMING and _is_open(medium, event.occurred_at):
                changed["heldUntil"] = medium.fields["uploadExpiresAt"]
            remove = _bury(medium, changed, remove, event.occurred_at)
        self._commit(medium, {**changed, "state": state}, remove, event, beside)

    def rerendered(self, medium: Medium, fields: Mapping[str, Any], event: Event) -> bool:
        """A ready medium has other renditions, and so will have who joins its bytes from now on.
        True when nobody else stands on them. Raises PreconditionFailed, also when somebody joins
        or leaves at that moment."""
        blob = self._blob_of(medium)
        beside = [] if blob is None else [blob.known_as(fields)]
        self._commit(medium, fields, (), event, beside)
        return blob is None or blob.references <= 1

    def unannounce(self, medium: Medium, event: Event) -> None:
        """Nobody was ever given a URL for it, so it holds no room. Raises PreconditionFailed."""
        self.settle(medium, (), event)

    def erase(self, medium: Medium, now: datetime, *, silent: bool = False) -> None:
        """From the trash, or straight, to a tombstone. The bytes are left over when no other
        medium stands on them: whoever has deleted them settles it. Raises PreconditionFailed.

        `silent` tells no event: of an account that is being erased, its own event tells all."""
        event = MediaErased(
            id=derived_id(MediaErased.type, medium.id),
            occurred_at=now,
            owner=medium.owner,
            media_id=medium.id,
        )
        blob = self._blob_of(medium)
        fields: dict[str, Any] = {}
        if blob is None or blob.references <= 1:
            fields = {"leftover": medium.media_name, "leftoverAt": event.occurred_at}
        remove = _bury(medium, fields, (), event.occurred_at)
        beside = [] if blob is None else [blob.left()]
        self._commit(medium, {**fields, "state": "deleted"}, remove, event, beside, silent)

    def settle(
        self, medium: Medium, gone: tuple[str, ...], event: Event, *, silent: bool = False
    ) -> None:
        """A tombstone with nothing left of `gone`. Raises PreconditionFailed."""
        fields: dict[str, Any] = {}
        remove = _bury(medium, fields, gone, event.occurred_at)
        self._commit(medium, {**fields, "state": "deleted"}, remove, event, [], silent)

    def postpone(self, medium: Medium, erase_at: datetime) -> None:
        """Of the trash; nothing that anybody sees. Raises PreconditionFailed."""
        update = Update(f"media/{medium.id}", {"eraseAt": erase_at}, version=medium.version)
        self._documents.commit([update])

    def forget(self, media: Sequence[Medium]) -> None:
        """Take tombstones away, when even that they were is to be forgotten."""
        self._documents.commit([Delete(f"media/{medium.id}") for medium in media])

    def forget_usage(self, owner: str) -> None:
        self._documents.commit([Delete(f"usage/{owner}")])

    def keeps(self, medium: Medium | None, name: str) -> bool:
        """Whether the original of that name in `medium`'s folder is anybody's: its own, or, after
        it was erased, that of others who stand on the same bytes."""
        if medium is None:
            return False
        if medium.state in ("ready", "trashed"):
            return medium.media_name == name
        blob = self._blob_of(medium)
        return blob is not None and blob.stored == name

    def standing_on(self, original: str, limit: int) -> list[Medium]:
        """Ready and trashed media whose bytes are that original."""
        own = self.get(original.partition("/")[0])
        others = self._documents.query(
            "media",
            where=[("stored", "==", original)],
            order=[("__name__", "ASCENDING")],
            limit=limit,
        )
        found = {one.id: _medium(one) for one in others}
        if own is not None:
            found[own.id] = own
        kept = [one for one in found.values() if one.state in ("ready", "trashed")]
        return [one for one in kept if one.media_name == original]

    def _blob_of(self, medium: Medium) -> Blob | None:
        path = medium.fields.get("blob")
        document = self._documents.get(f"blobs/{path}") if path else None
        return Blob.from_document(document) if document else None

    def _commit(
        self,
        medium: Medium,
        fields: Mapping[str, Any],
        remove: tuple[str, ...],
        event: Event,
        beside: Sequence[Write],
        silent: bool = False,
    ) -> None:
        changed = {**fields, "updatedAt": event.occurred_at}
        after = {name: value for name, value in medium.fields.items() if name not in remove}
        steps = difference(medium.fields, after | changed)
        writes: list[Write] = [
            Update(f"media/{medium.id}", changed, remove=remove, version=medium.version),
            *([] if silent else [stored(event, medium.fields.get("traceparent"))]),
            *beside,
        ]
        if steps:
            writes.append(Add(f"usage/{medium.owner}", steps, {"owner": medium.owner}))
        try:
            self._documents.commit(writes)
        except AlreadyExists:
            # The same change by another, or the same bytes first by another: which of the guards
            # is told is the store's choice.
            raise PreconditionFailed(f"media/{medium.id}") from None


def _medium(document: Document) -> Medium:
    return Medium.from_document(document.id, document.data, document.version)


def _usage(document: Document | None) -> Usage:
    if document is None:
        return Usage()
    reserved, used, count, trashed, places = (int(document.data.get(name, 0)) for name in NAMES)
    return Usage(used, reserved, count, trashed, places, document)


def _reservation(owner: str, size: int, places: int, seen: Usage | None) -> Write:
    path, steps = f"usage/{owner}", {"reservedBytes": size, "places": places}
    if seen is None:
        # Adding nothing to the used bytes tells how many they are.
        return Add(path, steps | {"usedBytes": 0}, {"owner": owner})
    if seen.document is None:
        return Create(path, steps | {"owner": owner})
    return Update(path, increment=steps, version=seen.document.version)


def _shared(medium: Medium, fields: dict[str, Any], twin: Blob | None, now: datetime) -> Write:
    """The write that counts one more on the bytes; `fields` learn where they stand."""
    path = blob_path(medium.owner, fields["sha256"])
    fields["blob"] = path.rpartition("/")[2]
    if twin is not None:
        fields.update(twin.facts)
        fields["stored"] = twin.stored
        return twin.joined()
    own = ("generation", "blob")
    facts = {name: value for name, value in fields.items() if name not in own}
    fields["stored"] = media_name(medium.id, fields["generation"])
    return first(path, medium.owner, fields["stored"], facts, now)


def _is_open(medium: Medium, now: datetime) -> bool:
    """Whether the signed URL still takes bytes."""
    return bool(medium.fields["uploadExpiresAt"] > now)


def _bury(
    medium: Medium, fields: dict[str, Any], gone: tuple[str, ...], now: datetime
) -> tuple[str, ...]:
    """What a medium loses when it becomes or is a tombstone; when nothing is left to be settled
    by it, `fields` learn when it may go itself."""
    stays = {name for name in medium.fields if name in _KEPT and name not in gone} | set(fields)
    if not stays & {"heldUntil", "leftover"}:
        fields["expireAt"] = now + _TOMBSTONE
    return tuple(name for name in medium.fields if name not in stays and name not in fields)


__all__ = ["AlreadyExists", "MediaStore", "PreconditionFailed", "Usage"]
