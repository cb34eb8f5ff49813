"""The tables of the job store, as steps from one version to the next; a step that was released never changes."""

from __future__ import annotations

import sqlite3
from typing import ClassVar

from engine.foundation.errors import EaselError

_FIRST = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'cancelled', 'quarantined')),
    priority INTEGER NOT NULL,
    number NOT NULL,              -- without a type, so that 3 and 3.0 stay what they are
    rank INTEGER NOT NULL,        -- order among equals
    deaths INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    digest TEXT NOT NULL,
    client TEXT,
    workflow TEXT,
    prompt TEXT NOT NULL,
    extra TEXT NOT NULL,
    secrets TEXT,
    targets TEXT NOT NULL,
    created INTEGER NOT NULL,
    started INTEGER,
    ended INTEGER,
    outputs TEXT NOT NULL DEFAULT '{}',
    messages TEXT NOT NULL DEFAULT '[]',
    error TEXT
);
CREATE INDEX jobs_waiting ON jobs (priority DESC, deaths, number, rank) WHERE state = 'pending';
CREATE INDEX jobs_running ON jobs (seq) WHERE state = 'running';
CREATE INDEX jobs_ended ON jobs (ended, seq) WHERE ended IS NOT NULL;
CREATE TABLE attempts (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    worker TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    outcome TEXT,
    PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE files (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    node TEXT NOT NULL,
    filename TEXT NOT NULL,
    subfolder TEXT NOT NULL,
    type TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (job, place)
) WITHOUT ROWID;
CREATE TABLE switches (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""

_CANCEL_MARK = "ALTER TABLE jobs ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;"  # while it ran

STEPS = (_FIRST, _CANCEL_MARK)
VERSION = len(STEPS)


class SchemaError(EaselError):
    """A job store that a later version of Easel has written."""

    code: ClassVar[str] = "newer_job_store"


def migrate(connection: sqlite3.Connection, steps: tuple[str, ...] = STEPS) -> None:
    """Bring the tables to the newest version; each step is one transaction. Raises `SchemaError`."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise SchemaError(
            "the job store was written by a later version of Easel",
            expected=f"version {len(steps)} or older",
            got=f"version {version}",
            hint="Use that version, or another --user-directory.",
        )
    for number, step in enumerate(steps[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
