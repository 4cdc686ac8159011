"""The SQLite index: its tables, and an index for each question that is asked of them.

No question of a request may scan a table: the work for one object is the same among ten and among
a million. Times are seconds since 1970; resources are JSON.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
  name TEXT PRIMARY KEY, project TEXT, resource TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
  bucket TEXT, name TEXT, generation INTEGER, metageneration INTEGER, state TEXT, size INTEGER,
  crc32c TEXT, md5 TEXT, blob TEXT, fields TEXT, hard_delete REAL,
  PRIMARY KEY (bucket, name, generation)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_state ON objects (bucket, state, name, generation);
CREATE INDEX IF NOT EXISTS by_version ON objects (bucket, name, generation)
  WHERE state IN ('live', 'noncurrent');
CREATE INDEX IF NOT EXISTS by_blob ON objects (blob);
CREATE INDEX IF NOT EXISTS by_end ON objects (hard_delete) WHERE hard_delete IS NOT NULL;
CREATE TABLE IF NOT EXISTS notification_configs (
  bucket TEXT, id INTEGER, resource TEXT, PRIMARY KEY (bucket, id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, message TEXT);
CREATE INDEX IF NOT EXISTS by_topic ON outbox (topic, seq);
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, resource TEXT, created REAL) WITHOUT ROWID;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open or make the index; transactions are the caller's, threads take turns by its lock."""
    db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    # A killed process loses nothing with NORMAL; only a power failure could.
    db.execute("PRAGMA synchronous = NORMAL")
    db.executescript(_SCHEMA)
    return db
