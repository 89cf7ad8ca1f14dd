-- Who may call the management API, and what they did.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    -- The SHA-256 of the token: the token itself is kept nowhere.
    digest     BLOB    NOT NULL,
    created_by TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    -- NULL is never.
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT;
-- +goose StatementEnd
CREATE UNIQUE INDEX tokens_by_digest ON tokens (digest);
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;

-- +goose StatementBegin
CREATE TABLE audit (
    id          TEXT    NOT NULL PRIMARY KEY,
    recorded_at INTEGER NOT NULL,
    actor       TEXT    NOT NULL,
    role        TEXT    NOT NULL,
    address     TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    project     TEXT    NOT NULL,
    connection  TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    status      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- +goose StatementEnd
