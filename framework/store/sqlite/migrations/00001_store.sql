-- The first schema of a store.
--
-- Hot tables refer to connections and streams by small integers that are never
-- given twice (AUTOINCREMENT). Times are microseconds since 1970 in UTC; where a
-- time may be missing, NULL says so. Hashes are 16 bytes, keyed with the store's
-- secret.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
-- +goose StatementEnd

-- The one row every write transaction reads and changes: the epoch of the lease,
-- and the marker of the last transaction.
-- +goose StatementBegin
CREATE TABLE writer (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    epoch  INTEGER NOT NULL,
    marker TEXT NOT NULL
) STRICT;
-- +goose StatementEnd
INSERT INTO writer (id, epoch, marker) VALUES (1, 0, '');

-- +goose StatementBegin
CREATE TABLE connections (
    num        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    project    TEXT NOT NULL,
    name       TEXT NOT NULL,
    connector  TEXT NOT NULL,
    type       TEXT NOT NULL,
    enabled    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- A deleted connection is invisible at once; its rows are removed little by little.
    deleted_at INTEGER
) STRICT;
-- +goose StatementEnd
CREATE UNIQUE INDEX connections_by_name ON connections (project, name) WHERE deleted_at IS NULL;

-- Head and status of each stream. num takes the upper 24 bits of the rowids of
-- the stream's events.
-- +goose StatementBegin
CREATE TABLE streams (
    num              INTEGER PRIMARY KEY AUTOINCREMENT CHECK (num < 1 << 23),
    connection       INTEGER NOT NULL,
    stream           TEXT NOT NULL,
    head             INTEGER NOT NULL DEFAULT 0,
    duplicates       INTEGER NOT NULL DEFAULT 0,
    last_success_at  INTEGER,
    next_run_at      INTEGER,
    last_error       TEXT NOT NULL DEFAULT '',
    last_error_class TEXT NOT NULL DEFAULT '',
    last_error_at    INTEGER,
    failures         INTEGER NOT NULL DEFAULT 0,
    paused           INTEGER NOT NULL DEFAULT 0,
    UNIQUE (connection, stream)
) STRICT;
-- +goose StatementEnd

-- id = stream << 40 | sequence: one B-tree, each stream a contiguous range of it.
-- +goose StatementBegin
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    type        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    deletion    INTEGER NOT NULL,
    key         TEXT NOT NULL,
    time        INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    late        INTEGER NOT NULL,
    payload     BLOB
) STRICT;
-- +goose StatementEnd

-- The memory of keys, which outlives the events, and the newest version of each
-- entity. The hash of an entity is odd, that of a key is even, and the keys of an
-- entity begin as it does: what a new version reads and writes is on one page.
-- Only the row of an entity has a time, a payload's hash and a revision.
-- +goose StatementBegin
CREATE TABLE keys (
    stream   INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    time     INTEGER,
    payload  BLOB,
    revision INTEGER,
    latest   INTEGER,
    PRIMARY KEY (stream, hash)
) STRICT, WITHOUT ROWID;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TABLE checkpoints (
    connection     INTEGER NOT NULL,
    stream         TEXT NOT NULL,
    lane           TEXT NOT NULL,
    commit_id      TEXT NOT NULL,
    previous       TEXT NOT NULL,
    cursor         BLOB,
    cursor_version INTEGER NOT NULL,
    cursor_digest  TEXT NOT NULL,
    window_from    INTEGER,
    window_to      INTEGER,
    window_done    INTEGER,
    run_id         TEXT NOT NULL,
    updated_at     INTEGER NOT NULL,
    PRIMARY KEY (connection, stream, lane)
) STRICT;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TABLE runs (
    num         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    connection  INTEGER NOT NULL,
    stream      TEXT NOT NULL,
    trigger     TEXT NOT NULL,
    state       TEXT NOT NULL,
    epoch       INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER,
    pages       INTEGER NOT NULL,
    events      INTEGER NOT NULL,
    duplicates  INTEGER NOT NULL,
    error       TEXT NOT NULL,
    error_class TEXT NOT NULL,
    stack       TEXT NOT NULL
) STRICT;
-- +goose StatementEnd
CREATE INDEX runs_by_stream ON runs (connection, stream, id);
CREATE INDEX runs_running ON runs (epoch) WHERE state = 'running';

-- +goose StatementBegin
CREATE TABLE hourly (
    stream     INTEGER NOT NULL,
    hour       INTEGER NOT NULL,
    events     INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    runs       INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    PRIMARY KEY (stream, hour)
) STRICT, WITHOUT ROWID;
-- +goose StatementEnd

-- Rows are inserted in the order of time, so the oldest are the first rowids and
-- expired ones are found without an index on the time.
-- +goose StatementBegin
CREATE TABLE delivery_keys (
    num         INTEGER PRIMARY KEY,
    connection  INTEGER NOT NULL,
    endpoint    TEXT NOT NULL,
    hash        BLOB NOT NULL,
    delivery_id TEXT NOT NULL,
    first_event TEXT NOT NULL,
    at          INTEGER NOT NULL,
    UNIQUE (connection, endpoint, hash)
) STRICT;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TABLE stored_deliveries (
    num             INTEGER PRIMARY KEY,
    connection      INTEGER NOT NULL,
    id              TEXT NOT NULL,
    endpoint        TEXT NOT NULL,
    key             TEXT NOT NULL,
    received_at     INTEGER,
    header          BLOB,
    body            BLOB,
    attempts        INTEGER NOT NULL,
    next_attempt_at INTEGER,
    dead            INTEGER NOT NULL,
    last_error      TEXT NOT NULL,
    UNIQUE (connection, id)
) STRICT;
-- +goose StatementEnd
CREATE INDEX stored_deliveries_due ON stored_deliveries (dead, next_attempt_at);
