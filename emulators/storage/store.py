"""What Cloud Storage keeps and how it changes: an SQLite index beside the files of bytes.

Every change is one SQLite transaction under one lock, and the notifications it causes are rows of
the same transaction: racing writers have one winner, and no finalize is lost with the process. A
row is written only after its file is complete, a file removed only after its row is gone; files
that a kill left without a row are removed at the next start. Nothing here grows in memory with the
number of objects. Calls block for well under a millisecond on files and SQLite: use threads.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from emulators.storage import index, listing, notifications
from emulators.storage.content import Blobs, Digests, Sink
from emulators.storage.errors import BucketNotEmpty, Conflict, Invalid, NoSuchBucket, NoSuchUpload
from emulators.storage.listing import Cursor, Listing, Page
from emulators.storage.model import (
    ANY,
    BUCKET_OUTPUT_ONLY,
    WRITABLE,
    Preconditions,
    Resource,
    Version,
    check_bucket,
    check_bucket_name,
    check_object_name,
    merge,
    missing,
    parse_time,
    timestamp,
    writable,
)

_COLUMNS = "bucket, name, generation, metageneration, state, size, crc32c, md5, blob, fields"
_SEVEN_DAYS = 7 * 86400


class Store:
    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.blobs = Blobs(root)
        self.clock = clock
        self.outbox_grew: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self._db = index.connect(root / "index.sqlite3")
        newest = self._db.execute("SELECT max(generation) FROM objects").fetchone()[0]
        self._last_generation = int(newest or 0)
        self._remove_orphans()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    # Buckets

    def create_bucket(self, name: str, project: str, body: Mapping[str, Any]) -> Resource:
        check_bucket_name(name)
        check_bucket(body)
        now = timestamp(self.clock())
        resource: Resource = {
            "storageClass": "STANDARD",
            "iamConfiguration": {
                "uniformBucketLevelAccess": {"enabled": False},
                "publicAccessPrevention": "inherited",
            },
            # The real service's default for a new bucket.
            "softDeletePolicy": {"retentionDurationSeconds": str(_SEVEN_DAYS)},
            **_callers_part(body),
            # Written in capitals whatever the caller wrote ("Bucket locations").
            "location": str(body.get("location") or "US").upper(),
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "projectNumber": "1",
            "locationType": "multi-region",
            "metageneration": "1",
            "timeCreated": now,
            "updated": now,
        }
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM buckets WHERE name = ?", (name,)).fetchone():
                raise Conflict(
                    "Your previous request to create the named bucket succeeded "
                    "and you already own it."
                )
            db.execute(
                "INSERT INTO buckets VALUES (?, ?, ?)", (name, project, json.dumps(resource))
            )
        return resource

    def bucket(self, name: str) -> Resource:
        with self._lock:
            row = self._db.execute("SELECT resource FROM buckets WHERE name = ?", (name,))
            found = row.fetchone()
        if not found:
            raise NoSuchBucket("The specified bucket does not exist.")
        resource: Resource = json.loads(found[0])
        return resource

    def buckets(
        self, project: str, prefix: str, token: str | None, limit: int
    ) -> tuple[list[Resource], str | None]:
        after = listing.untoken(token)[0] if token else ""
        with self._lock:
            rows = self._db.execute(
                "SELECT name, resource FROM buckets WHERE project = ? AND name > ?"
                " AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
                (project, after, len(prefix), prefix, limit + 1),
            ).fetchall()
        more = listing.token(rows[limit - 1][0], 0) if len(rows) > limit else None
        return [json.loads(row[1]) for row in rows[:limit]], more

    def change_bucket(
        self, name: str, body: Mapping[str, Any], when: Preconditions, *, keep: bool
    ) -> Resource:
        """Merge `body` into the bucket (patch, `keep`) or let it replace the caller's part."""
        with self._transaction() as db:
            old = self.bucket(name)
            _check_metageneration(when, int(old["metageneration"]))
            owned = {key: old[key] for key in BUCKET_OUTPUT_ONLY if key in old}
            fixed = {key: old[key] for key in ("location", "storageClass") if key in old}
            base: Resource = old if keep else owned | fixed
            new = merge(base, _callers_part(body))
            check_bucket(new)
            new["metageneration"] = str(int(old["metageneration"]) + 1)
            new["updated"] = timestamp(self.clock())
            db.execute("UPDATE buckets SET resource = ? WHERE name = ?", (json.dumps(new), name))
        return new

    def delete_bucket(self, name: str, when: Preconditions) -> None:
        with self._transaction() as db:
            _check_metageneration(when, int(self.bucket(name)["metageneration"]))
            kept = "SELECT 1 FROM objects WHERE bucket = ? AND state IN ('live', 'noncurrent')"
            if db.execute(kept + " LIMIT 1", (name,)).fetchone():
                raise BucketNotEmpty("The bucket you tried to delete is not empty.")
            for version in self._select("bucket = ?", (name,)):
                self._forget(db, version)
            db.execute("DELETE FROM buckets WHERE name = ?", (name,))
            db.execute("DELETE FROM notification_configs WHERE bucket = ?", (name,))

    # Reading objects

    def find(
        self, bucket: str, name: str, generation: int | None = None, *, soft_deleted: bool = False
    ) -> Version | None:
        """The live version, or the named generation; soft-deleted ones only when asked for."""
        self.bucket(bucket)
        if soft_deleted:
            states = "state = 'deleted'"
        else:
            states = "state = 'live'" if generation is None else "state IN ('live', 'noncurrent')"
        where = f"bucket = ? AND name = ? AND {states}"
        values: list[Any] = [bucket, name]
        if generation is not None:
            where, values = f"{where} AND generation = ?", [*values, generation]
        return next(iter(self._select(where, values, "ORDER BY generation DESC LIMIT 1")), None)

    def get(
        self,
        bucket: str,
        name: str,
        generation: int | None = None,
        when: Preconditions = ANY,
        *,
        soft_deleted: bool = False,
    ) -> Version:
        found = self.find(bucket, name, generation, soft_deleted=soft_deleted)
        if not found:
            raise missing(bucket, name)
        when.check(found, reading=True)
        return found

    def open(
        self, bucket: str, name: str, generation: int | None, when: Preconditions = ANY
    ) -> tuple[Version, BinaryIO]:
        """A version and its bytes, opened before an overwrite could remove them."""
        with self._lock:
            found = self.get(bucket, name, generation, when)
            return found, self.blobs.path(found.blob).open("rb")

    def page(self, bucket: str, ask: Listing) -> Page:
        """See `listing.page`."""
        self.bucket(bucket)
        return listing.page(ask, partial(self._rows_after, bucket, ask.states))

    def _rows_after(
        self, bucket: str, states: Sequence[str], cursor: Cursor, stop: str | None, limit: int
    ) -> list[Version]:
        # Left to itself SQLite walks the primary key, over all that is in another state. The states
        # are written out because a partial index serves only those that the query spells.
        by = "by_state" if len(states) == 1 else "by_version"
        known = ", ".join(f"'{state}'" for state in states)
        where = f"bucket = ? AND state IN ({known}) AND (name, generation) > (?, ?)"
        values: list[Any] = [bucket, *cursor]
        if stop is not None:
            where, values = f"{where} AND name < ?", [*values, stop]
        return self._select(where, values, f"ORDER BY name, generation LIMIT {int(limit)}", by)

    # Changing objects

    def create(
        self, bucket: str, name: str, sink: Sink, fields: Mapping[str, Any], when: Preconditions
    ) -> Version:
        """Make the sink's bytes the live version; the bytes are gone when it is refused."""
        sink.close()
        try:
            with self._transaction() as db:
                return self._adopt(db, (bucket, name), sink.path, sink.digests, fields, when)
        finally:
            sink.discard()

    def check_write(self, bucket: str, name: str, when: Preconditions) -> None:
        """Refuse early what the end would refuse, before the bytes travel."""
        check_object_name(name)
        self._check_current(bucket, name, when)

    def patch(
        self,
        bucket: str,
        name: str,
        generation: int | None,
        body: Mapping[str, Any],
        when: Preconditions,
        *,
        keep: bool,
    ) -> Version:
        with self._transaction() as db:
            old = self.find(bucket, name, generation)
            if not old:
                raise missing(bucket, name)
            when.check(old)
            asked = {key: body[key] for key in WRITABLE if key in body}
            base = {k: v for k, v in old.fields.items() if keep or k not in WRITABLE}
            fields = merge(base, asked)
            writable(fields)
            fields["updated"] = timestamp(self.clock())
            new = replace(old, metageneration=old.metageneration + 1, fields=fields)
            self._save(db, new)
            self._announce(db, "OBJECT_METADATA_UPDATE", new)
        return new

    def delete(
        self, bucket: str, name: str, generation: int | None = None, when: Preconditions = ANY
    ) -> None:
        with self._transaction() as db:
            old = self.find(bucket, name, generation)
            if not old:
                when.check(None)
                raise missing(bucket, name)
            when.check(old)
            if generation is None and self._versioned(bucket):
                self._archive(db, old)
            else:
                self._remove(db, old)

    def restore(self, bucket: str, name: str, generation: int, when: Preconditions) -> Version:
        """A soft-deleted generation becomes a new live one."""
        with self._transaction() as db:
            old = self.find(bucket, name, generation, soft_deleted=True)
            if not old:
                raise missing(bucket, name)
            self._check_current(bucket, name, when)
            new = self._insert(db, self._twin(old, bucket, name, {}))
            self._forget(db, old)
        return new

    def copy(
        self,
        source: tuple[str, str, int | None],
        target: tuple[str, str],
        fields: Mapping[str, Any] | None,
        when: Preconditions,
        source_when: Preconditions,
    ) -> Version:
        """`fields` None keeps the source's metadata, else they replace it."""
        check_object_name(target[1])
        with self._transaction() as db:
            old = self._source(source, source_when)
            self._check_current(*target, when)
            return self._insert(db, self._twin(old, *target, fields))

    def move(
        self, bucket: str, name: str, target: str, when: Preconditions, source_when: Preconditions
    ) -> Version:
        check_object_name(target)
        if target == name:
            raise Invalid("Source and destination object names must be different.")
        with self._transaction() as db:
            old = self._source((bucket, name, None), source_when)
            self._check_current(bucket, target, when)
            new = self._insert(db, self._twin(old, bucket, target, None))
            self._archive(db, old) if self._versioned(bucket) else self._remove(db, old)
        return new

    def compose(
        self,
        bucket: str,
        name: str,
        sink: Sink,
        parts: int,
        body: Mapping[str, Any],
        when: Preconditions,
    ) -> Version:
        """The sink holds the parts' bytes one after the other; the result has no MD5."""
        sink.close()
        try:
            with self._transaction() as db:
                target = (bucket, name)
                return self._adopt(db, target, sink.path, sink.digests, body, when, parts=parts)
        finally:
            sink.discard()

    # Notifications

    def add_notification(self, bucket: str, body: Mapping[str, Any]) -> Resource:
        self.bucket(bucket)
        with self._transaction() as db:
            row = db.execute(
                "SELECT max(id) FROM notification_configs WHERE bucket = ?", (bucket,)
            ).fetchone()
            number = int(row[0] or 0) + 1
            resource = notifications.config(bucket, number, body)
            db.execute(
                "INSERT INTO notification_configs VALUES (?, ?, ?)",
                (bucket, number, json.dumps(resource)),
            )
        return resource

    def notification_configs(self, bucket: str) -> list[Resource]:
        with self._lock:
            rows = self._db.execute(
                "SELECT resource FROM notification_configs WHERE bucket = ? ORDER BY id", (bucket,)
            ).fetchall()
        return [json.loads(row[0]) for row in rows]

    def delete_notification(self, bucket: str, number: int) -> bool:
        with self._transaction() as db:
            done = db.execute(
                "DELETE FROM notification_configs WHERE bucket = ? AND id = ?", (bucket, number)
            )
            return done.rowcount == 1

    def waiting_topics(self) -> list[str]:
        with self._lock:
            return [row[0] for row in self._db.execute("SELECT DISTINCT topic FROM outbox")]

    def waiting(self, topic: str, limit: int) -> list[tuple[int, Resource]]:
        with self._lock:
            rows = self._db.execute(
                "SELECT seq, message FROM outbox WHERE topic = ? ORDER BY seq LIMIT ?",
                (topic, limit),
            ).fetchall()
        return [(row[0], json.loads(row[1])) for row in rows]

    def published(self, numbers: Sequence[int]) -> None:
        with self._transaction() as db:
            db.executemany("DELETE FROM outbox WHERE seq = ?", [(number,) for number in numbers])

    # Resumable uploads

    def add_upload(self, upload: str, session: Resource) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO uploads VALUES (?, ?, ?)", (upload, json.dumps(session), self.clock())
            )

    def finish_upload(self, upload: str, digests: Digests) -> Version:
        """The partial file becomes the live version and its session ends, both or neither."""
        path = self.blobs.partial / upload
        with self._transaction() as db:
            session = self.upload(upload)
            target, when = (session["bucket"], session["name"]), Preconditions(**session["when"])
            new = self._adopt(db, target, path, digests, session["fields"], when)
            ended = json.dumps({**session, "finished": new.generation})
            db.execute("UPDATE uploads SET resource = ? WHERE id = ?", (ended, upload))
        path.unlink(missing_ok=True)
        return new

    def upload(self, upload: str) -> Resource:
        with self._lock:
            row = self._db.execute("SELECT resource FROM uploads WHERE id = ?", (upload,))
            found = row.fetchone()
        if not found:
            raise NoSuchUpload("The upload session does not exist or has ended.")
        resource: Resource = json.loads(found[0])
        return resource

    def drop_upload(self, upload: str) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM uploads WHERE id = ?", (upload,))
        (self.blobs.partial / upload).unlink(missing_ok=True)

    # Housekeeping

    def sweep(self) -> None:
        """End soft-deleted versions whose time is over and sessions older than a week."""
        now = self.clock()
        with self._transaction() as db:
            for version in self._select("hard_delete <= ?", (now,), "LIMIT 1000"):
                self._forget(db, version)
            old = db.execute("SELECT id FROM uploads WHERE created < ?", (now - _SEVEN_DAYS,))
            expired = [row[0] for row in old.fetchall()]
        for upload in expired:
            self.drop_upload(upload)

    def _remove_orphans(self) -> None:
        for blob in self.blobs.names():
            known = self._db.execute("SELECT 1 FROM objects WHERE blob = ?", (blob,)).fetchone()
            if not known:
                self.blobs.remove(blob)
        for path in self.blobs.partial.iterdir():
            row = self._db.execute("SELECT resource FROM uploads WHERE id = ?", (path.name,))
            session = row.fetchone()
            if not session or "finished" in json.loads(session[0]):
                path.unlink()

    # The transaction and its parts

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._forgotten: list[str] = []
            self._announced = False
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            for blob in self._forgotten:
                self.blobs.remove(blob)
            if self._announced:
                self.outbox_grew()

    def _select(
        self, where: str, values: Sequence[Any], tail: str = "", index: str = ""
    ) -> list[Version]:
        # The conditions are this module's own text; values always travel as parameters.
        by = f"INDEXED BY {index}" if index else ""
        query = f"SELECT {_COLUMNS} FROM objects {by} WHERE {where} {tail}"  # noqa: S608
        with self._lock:
            rows = self._db.execute(query, tuple(values)).fetchall()
        return [Version(*(*row[:9], json.loads(row[9]))) for row in rows]

    def _save(
        self, db: sqlite3.Connection, version: Version, hard_delete: float | None = None
    ) -> None:
        row = tuple(getattr(version, column) for column in _COLUMNS.split(", ")[:9])
        db.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*row, json.dumps(version.fields), hard_delete),
        )

    def _adopt(
        self,
        db: sqlite3.Connection,
        target: tuple[str, str],
        path: Path,
        digests: Digests,
        fields: Mapping[str, Any],
        when: Preconditions,
        *,
        parts: int = 0,
    ) -> Version:
        """Complete bytes become the live version; one composed of `parts` has no MD5."""
        check_object_name(target[1])
        self._check_current(*target, when)
        kept = writable(fields)
        fresh = self._fresh(*target, self.blobs.adopt(path), digests.size, kept)
        new = replace(fresh, crc32c=digests.crc32c, md5="" if parts else digests.md5)
        if parts:
            new = replace(new, fields={**new.fields, "componentCount": parts})
        return self._insert(db, new)

    def _fresh(
        self, bucket: str, name: str, blob: str, size: int, fields: Mapping[str, Any]
    ) -> Version:
        now = timestamp(self.clock())
        times = {"timeCreated": now, "updated": now, "timeStorageClassUpdated": now}
        self._last_generation = max(int(self.clock() * 1e6), self._last_generation + 1)
        return Version(
            bucket, name, self._last_generation, 1, "live", size, "", "", blob, {**fields, **times}
        )

    def _twin(
        self, old: Version, bucket: str, name: str, fields: Mapping[str, Any] | None
    ) -> Version:
        """A new generation with the same bytes.

        Metadata in `fields` replaces all of the old ("Objects: rewrite"). A name alone is none:
        the official client sends it whether or not it sets metadata.
        """
        replaced = any(key in WRITABLE for key in fields or ())
        kept = writable(fields or {} if replaced else old.fields)
        link = self.blobs.adopt(self.blobs.path(old.blob))
        if "componentCount" in old.fields:
            kept["componentCount"] = old.fields["componentCount"]
        fresh = self._fresh(bucket, name, link, old.size, kept)
        return replace(fresh, crc32c=old.crc32c, md5=old.md5)

    def _insert(self, db: sqlite3.Connection, new: Version) -> Version:
        old = self.find(new.bucket, new.name)
        if old:
            ends = self._archive if self._versioned(new.bucket) else self._remove
            ends(db, old, overwritten_by=new.generation)
        self._save(db, new)
        extra = {"overwroteGeneration": str(old.generation)} if old else {}
        self._announce(db, "OBJECT_FINALIZE", new, extra)
        return new

    def _archive(
        self, db: sqlite3.Connection, old: Version, overwritten_by: int | None = None
    ) -> None:
        fields = {**old.fields, "timeDeleted": timestamp(self.clock())}
        self._save(db, replace(old, state="noncurrent", fields=fields))
        self._announce(db, "OBJECT_ARCHIVE", old, _overwritten(overwritten_by))

    def _remove(
        self, db: sqlite3.Connection, old: Version, overwritten_by: int | None = None
    ) -> None:
        """Delete for good, or for the bucket's soft-delete time."""
        policy = self.bucket(old.bucket).get("softDeletePolicy") or {}
        kept_for = int(policy.get("retentionDurationSeconds") or 0)
        if kept_for:
            now = self.clock()
            times = {
                "softDeleteTime": timestamp(now),
                "hardDeleteTime": timestamp(now + kept_for),
            }
            times = {"timeDeleted": timestamp(now), **times}
            gone = replace(old, state="deleted", fields={**old.fields, **times})
            self._save(db, gone, hard_delete=parse_time(times["hardDeleteTime"]))
        else:
            self._forget(db, old)
        self._announce(db, "OBJECT_DELETE", old, _overwritten(overwritten_by))

    def _forget(self, db: sqlite3.Connection, old: Version) -> None:
        key = (old.bucket, old.name, old.generation)
        db.execute("DELETE FROM objects WHERE bucket = ? AND name = ? AND generation = ?", key)
        self._forgotten.append(old.blob)

    def _announce(
        self,
        db: sqlite3.Connection,
        event: str,
        version: Version,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        for config in self.notification_configs(version.bucket):
            if not notifications.wanted(config, event, version.name):
                continue
            message = notifications.message(config, event, version, self.clock(), extra or {})
            topic = notifications.topic_path(config)
            db.execute(
                "INSERT INTO outbox (topic, message) VALUES (?, ?)", (topic, json.dumps(message))
            )
            self._announced = True

    def _check_current(self, bucket: str, name: str, when: Preconditions) -> None:
        when.check(self.find(bucket, name))

    def _source(self, source: tuple[str, str, int | None], when: Preconditions) -> Version:
        old = self.find(*source)
        if not old:
            raise missing(source[0], source[1])
        when.check(old)
        return old

    def _versioned(self, bucket: str) -> bool:
        return bool((self.bucket(bucket).get("versioning") or {}).get("enabled"))


def _overwritten(generation: int | None) -> dict[str, str]:
    return {"overwrittenByGeneration": str(generation)} if generation else {}


def _callers_part(body: Mapping[str, Any]) -> Resource:
    return {key: value for key, value in body.items() if key not in BUCKET_OUTPUT_ONLY}


def _check_metageneration(when: Preconditions, metageneration: int) -> None:
    current = Version("", "", 0, metageneration, "live", 0, "", "", "")
    replace(when, generation_match=None, generation_not_match=None).check(current)
