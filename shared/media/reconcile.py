"""Media against the three buckets, the usage and the shared bytes: each way of not fitting has a
name, and what can be mended without losing anything is mended.

| finding | what is done |
|---|---|
| waiting-upload | an object stays in the inbox: its event is told again |
| lost-upload | a medium is being looked at, and its bytes are gone: it is rejected |
| missing-original | reported: the bucket's own history is the way back |
| missing-rendition | the thumbnails function is told of the original, and makes it anew |
| wrong-usage, wrong-references | written anew, under the version that was added up |
| nobodys-original, nobodys-rendition | that generation is deleted |
| unknown-object | reported: it has no name of ours |
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.documents import (
    AlreadyExists,
    Delete,
    Document,
    DocumentStore,
    PreconditionFailed,
    Update,
    Where,
    Write,
)
from shared.events.failures import Message, told_again
from shared.events.model import FinalizedObject
from shared.events.outbox import Publisher
from shared.ids import derived_id
from shared.media.charges import NAMES, charge
from shared.media.model import COMING, ORIGINAL_NAME, Buckets, MediaRejected, Medium
from shared.media.objects import ListedObject, ObjectStore
from shared.media.store import MediaStore
from shared.reconcile import Finding, Page, Step

_PAGE = 50
# An upload is settled within seconds; Eventarc's second and third tries come within minutes.
_WAITING = timedelta(minutes=15)
# A handler lives five minutes at most; what it left unnamed for an hour, no handler will name.
_UNNAMED = timedelta(hours=1)
# Eventarc forgets after a day. What is not in the inbox then was deleted by hand, or by the bucket,
# which does that after two weeks.
_LOST = timedelta(hours=25)
# How long one page of what adds up media may take (`_added_up`).
_ADDING = timedelta(seconds=30)
# Somebody's media that take longer are passed by: twice what the most that he may have take. Both
# together fit between the reconciler's time and the function's timeout.
_MOST_ADDING = timedelta(seconds=60)
_KEPT = ("ready", "trashed")
_RENDITION = re.compile(r"([a-z2-7]{20}/[0-9]+)/([0-9]+)/[0-9]+\.[a-z]+")
Clock = Callable[[], datetime]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps work with; `redrive` leads to the thumbnails function."""

    documents: DocumentStore
    objects: ObjectStore
    buckets: Buckets
    redrive: Publisher
    clock: Clock = lambda: datetime.now(UTC)

    def pages(self, collection: str, after: str, limit: int = _PAGE) -> list[Document]:
        return self.documents.query(
            collection,
            order=[("__name__", "ASCENDING")],
            start_after=[after] if after else None,
            limit=limit,
        )

    def is_committed(self, write: Write) -> bool:
        """False when the document moved meanwhile."""
        with suppress(PreconditionFailed, AlreadyExists):
            self.documents.commit([write])
            return True
        return False


def steps(around: Surroundings) -> list[Step]:
    """Shared bytes that nobody stands on go before the objects are looked at."""
    return [
        WaitingUploads(around),
        MediaDocuments(around),
        Usages(around),
        References(around),
        Originals(around),
        Renditions(around),
    ]


def _added_up(
    around: Surroundings, collection: str, after: str, judged: Callable[[Document], Finding | None]
) -> Page:
    """A page of documents for each of which media without end may be added up: it ends when that
    took its time, because the reconciler looks only between pages."""
    found = around.pages(collection, after)
    findings, end = [], around.clock() + _ADDING
    for one in found:
        if (finding := judged(one)) is not None:
            findings.append(finding)
        if around.clock() >= end and one is not found[-1]:
            return Page(findings, one.id)
    return Page(findings, _last(found, lambda one: one.id))


def _last(found: list[Any], name: Callable[[Any], str]) -> str:
    return name(found[-1]) if len(found) == _PAGE else ""


class WaitingUploads:
    """The pipeline knows what to do with any object there, so telling it again is all."""

    name = "inbox"

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def page(self, after: str, *, repair: bool) -> Page:
        around = self._around
        found = around.objects.listed(around.buckets.inbox, after, _PAGE)
        waiting = [one for one in found if one.created_at < around.clock() - _WAITING]
        if waiting and repair:
            around.redrive.publish([told_again(_event(one)) for one in waiting])
        findings = [Finding("waiting-upload", one.version.name, repair) for one in waiting]
        return Page(findings, _last(found, lambda one: one.version.name))


def _event(one: ListedObject) -> FinalizedObject:
    where = one.version
    return FinalizedObject(
        where.bucket,
        where.name,
        where.generation,
        one.size,
        one.content_type,
        one.crc32c,
        None,
    )


class MediaDocuments:
    name = "media"

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._store = MediaStore(around.documents)

    def page(self, after: str, *, repair: bool) -> Page:
        found = self._around.pages("media", after)
        findings: list[Finding] = []
        again: list[Message] = []
        for document in found:
            medium = Medium.from_document(document.id, document.data, document.version)
            if medium.state in _KEPT:
                missing = self._missing(medium, repair=repair)
                findings += missing
                if any(one.repaired for one in missing):
                    again.append(told_again(self._original(medium)))
            elif self._is_lost(medium):
                findings.append(Finding("lost-upload", medium.id, repair and self._reject(medium)))
        if again:
            self._around.redrive.publish(again)
        return Page(findings, _last(found, lambda one: one.id))

    def _missing(self, medium: Medium, *, repair: bool) -> list[Finding]:
        """Objects go only after the commit that says so: what moved meanwhile misses nothing."""
        objects, buckets = self._around.objects, self._around.buckets
        whole = objects.stands(buckets.media, medium.media_name)
        gone = [
            one["size"]
            for one in medium.fields.get("renditions") or ()
            if not objects.stands(buckets.renditions, medium.rendition_name(one["size"]))
        ]
        if whole and not gone:
            return []
        present = self._store.get(medium.id)
        if present is None or present.version != medium.version:
            return []
        findings = [] if whole else [Finding("missing-original", medium.id, False)]
        return findings + [
            Finding("missing-rendition", f"{medium.id} {size}", repair and whole) for size in gone
        ]

    def _original(self, medium: Medium) -> FinalizedObject:
        """As the thumbnails function takes it: by its name, under which nothing ever changes, so
        the number in it serves as the generation."""
        return FinalizedObject(
            self._around.buckets.media,
            medium.media_name,
            int(medium.media_name.rpartition("/")[2]),
            int(medium.fields["size"]),
            str(medium.fields["contentType"]),
            str(medium.fields["crc32c"]),
            None,
        )

    def _is_lost(self, medium: Medium) -> bool:
        around = self._around
        return (
            medium.state == "scanning"
            and medium.fields["updatedAt"] < around.clock() - _LOST
            and not around.objects.stands(around.buckets.inbox, medium.inbox_name)
        )

    def _reject(self, medium: Medium) -> bool:
        event = MediaRejected(
            id=derived_id("media.lost", medium.id),
            occurred_at=self._around.clock(),
            media_id=medium.id,
            owner=medium.owner,
            reason="upload-lost",
        )
        with suppress(PreconditionFailed):
            self._store.change(medium, "rejected", {"reason": "upload-lost"}, event)
            return True
        return False


class Usages:
    """Every change that moves a sum moves the version of the usage, so what is added up between
    reading that version and writing under it is the truth."""

    name = "usage"

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def page(self, after: str, *, repair: bool) -> Page:
        return _added_up(self._around, self.name, after, lambda one: self._judged(one, repair))

    def _judged(self, usage: Document, repair: bool) -> Finding | None:
        told = {name: usage.data.get(name, 0) for name in NAMES}
        real = self._sums(usage.id)
        if real is None or told == real:
            return None
        wrong = {name: real[name] for name in NAMES if real[name] != told[name]}
        write = Update(usage.path, wrong, version=usage.version)
        return Finding("wrong-usage", usage.id, repair and self._around.is_committed(write))

    def _sums(self, owner: str) -> dict[str, int] | None:
        """None when it takes too long."""
        sums: Counter[str] = Counter()
        end = self._around.clock() + _MOST_ADDING
        for medium in _all(self._around.documents, [("owner", "==", owner)]):
            sums.update(charge(medium.fields))
            if self._around.clock() >= end:
                _log.warning("the media of %s take too long to add up", owner)
                return None
        return {name: sums[name] for name in NAMES}


class References:
    """Joining and leaving move the version of the blob; the same holds as for usages."""

    name = "blobs"

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    def page(self, after: str, *, repair: bool) -> Page:
        return _added_up(self._around, self.name, after, lambda one: self._judged(one, repair))

    def _judged(self, blob: Document, repair: bool) -> Finding | None:
        media = _all(self._around.documents, [("blob", "==", blob.id)])
        real = sum(medium.state in _KEPT for medium in media)
        if real == blob.data["references"]:
            return None
        write: Write = (
            Update(blob.path, {"references": real}, version=blob.version)
            if real
            else Delete(blob.path, version=blob.version)
        )
        return Finding("wrong-references", blob.id, repair and self._around.is_committed(write))


class _Objects:
    """Objects of one bucket whose names say to which original they belong. One that a later
    generation replaced under its name is not touched."""

    name: str
    kind: str
    bucket: str

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._standing = Standing(around.documents)

    def page(self, after: str, *, repair: bool) -> Page:
        around = self._around
        found = around.objects.listed(self.bucket, after, _PAGE)
        findings = []
        for one in found:
            if one.created_at > around.clock() - _UNNAMED:
                continue
            wanted = self._is_wanted(one.version.name)
            if wanted is None:
                findings.append(Finding("unknown-object", one.version.name, False))
            elif not wanted:
                if repair:
                    around.objects.delete(one.version)
                findings.append(Finding(self.kind, one.version.name, repair))
        return Page(findings, _last(found, lambda one: one.version.name))

    def _is_wanted(self, name: str) -> bool | None:
        """None for a name that is none of ours."""
        raise NotImplementedError


class Originals(_Objects):
    name, kind = "originals", "nobodys-original"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.bucket = around.buckets.media

    def _is_wanted(self, name: str) -> bool | None:
        return self._standing.on(name) if ORIGINAL_NAME.fullmatch(name) else None


class Renditions(_Objects):
    name, kind = "renditions", "nobodys-rendition"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.bucket = around.buckets.renditions

    def _is_wanted(self, name: str) -> bool | None:
        match = _RENDITION.fullmatch(name)
        return self._standing.on(match[1], int(match[2])) if match else None


class Standing:
    """Who stands on an original, or may come to."""

    def __init__(self, documents: DocumentStore) -> None:
        self._documents = documents
        self._store = MediaStore(documents)

    def on(self, original: str, recipe: int | None = None) -> bool:
        """Whether the original is anybody's; with a `recipe`, whether renditions of that one are.
        Those of a later recipe than the present may be about to come into force."""
        own = self._store.get(original.partition("/")[0])
        if own is not None and (own.state in COMING or own.fields.get("leftover") == original):
            return True
        holders = _all(self._documents, [("stored", "==", original)])
        present = [medium.fields for medium in holders if medium.state in _KEPT]
        if own is not None and own.state in _KEPT and own.media_name == original:
            present.append(own.fields)
        # Whoever uploads these bytes next stands on them without asking.
        blobs = self._documents.query("blobs", where=[("stored", "==", original)], limit=2)
        present += [blob.data["facts"] for blob in blobs]
        if recipe is None:
            return bool(present)
        recipes = {int(fields.get("recipe") or 0) for fields in present}
        return recipe in recipes or (bool(recipes) and recipe > max(recipes))


def _all(documents: DocumentStore, where: list[Where]) -> Iterator[Medium]:
    after: str | None = None
    while True:
        found = documents.query(
            "media",
            where=where,
            order=[("__name__", "ASCENDING")],
            start_after=[after] if after else None,
            limit=300,
        )
        for document in found:
            yield Medium.from_document(document.id, document.data, document.version)
        if len(found) < 300:
            return
        after = found[-1].id


__all__ = ["Surroundings", "steps"]
