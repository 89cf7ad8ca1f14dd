-- Runs of actions, and their progress.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE action_runs (
    connection  INTEGER NOT NULL,
    id          TEXT NOT NULL UNIQUE,
    target      TEXT NOT NULL,
    action      TEXT NOT NULL,
    origin      TEXT NOT NULL,
    state       TEXT NOT NULL,
    owner       TEXT NOT NULL,
    seen_at     INTEGER NOT NULL,
    cancel_at   INTEGER,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    percent     INTEGER NOT NULL,
    message     TEXT NOT NULL,
    events      INTEGER NOT NULL,
    error       TEXT NOT NULL,
    error_class TEXT NOT NULL,
    stack       TEXT NOT NULL,
    output      BLOB,
    PRIMARY KEY (connection, id)
) STRICT;
-- +goose StatementEnd
CREATE INDEX action_runs_running ON action_runs (owner) WHERE state = 'running';
CREATE INDEX action_runs_by_target ON action_runs (target, id) WHERE target <> '';

-- +goose StatementBegin
CREATE TABLE action_events (
    connection INTEGER NOT NULL,
    run        TEXT NOT NULL,
    sequence   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    percent    INTEGER NOT NULL,
    message    TEXT NOT NULL,
    PRIMARY KEY (connection, run, sequence)
) STRICT;
-- +goose StatementEnd
