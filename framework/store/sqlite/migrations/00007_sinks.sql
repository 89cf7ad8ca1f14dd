-- What sinks have delivered. source and stream are the numbers of the stream
-- that is read, so a rename keeps them.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE offsets (
    connection    INTEGER NOT NULL,
    source        INTEGER NOT NULL,
    stream        INTEGER NOT NULL,
    next          INTEGER NOT NULL,
    delivered     INTEGER NOT NULL,
    dead          INTEGER NOT NULL,
    delivered_at  INTEGER,
    last_error    TEXT NOT NULL,
    last_error_at INTEGER,
    failures      INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    PRIMARY KEY (connection, source, stream)
) STRICT;
-- +goose StatementEnd
CREATE INDEX offsets_by_source ON offsets (source);

-- +goose StatementBegin
CREATE TABLE parked (
    connection      INTEGER NOT NULL,
    source          INTEGER NOT NULL,
    stream          INTEGER NOT NULL,
    sequence        INTEGER NOT NULL,
    attempts        INTEGER NOT NULL,
    parked_at       INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    last_error      TEXT NOT NULL,
    status          INTEGER NOT NULL,
    event           BLOB,
    PRIMARY KEY (connection, source, stream, sequence)
) STRICT;
-- +goose StatementEnd
CREATE INDEX parked_by_source ON parked (source);

-- A dead letter outlives the stream and the connection that it came from, so it
-- names them.
-- +goose StatementBegin
CREATE TABLE dead_events (
    connection INTEGER NOT NULL,
    id         TEXT NOT NULL,
    source_id  TEXT NOT NULL,
    stream_key TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    event      BLOB,
    reason     TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    status     INTEGER NOT NULL,
    request    BLOB,
    response   BLOB,
    first_at   INTEGER,
    dead_at    INTEGER NOT NULL,
    discarded  INTEGER NOT NULL,
    note       TEXT NOT NULL,
    PRIMARY KEY (connection, id)
) STRICT;
-- +goose StatementEnd
CREATE INDEX dead_events_by_source ON dead_events (source_id);
