-- What connections are configured to be: revisions, of which one may be deployed.

-- +goose Up
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN state TEXT NOT NULL DEFAULT 'draft';
-- +goose StatementEnd
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN latest INTEGER NOT NULL DEFAULT 0;
-- +goose StatementEnd
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN deployed INTEGER NOT NULL DEFAULT 0;
-- +goose StatementEnd
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN managed_by TEXT NOT NULL DEFAULT 'file';
-- +goose StatementEnd
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN form TEXT NOT NULL DEFAULT '';
-- +goose StatementEnd
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN labels TEXT NOT NULL DEFAULT '';
-- +goose StatementEnd
-- The version of the configuration that changed the connection last.
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN version INTEGER NOT NULL DEFAULT 0;
-- +goose StatementEnd
-- +goose StatementBegin
ALTER TABLE connections ADD COLUMN changed_at INTEGER;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TABLE revisions (
    connection INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    spec       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    message    TEXT NOT NULL,
    PRIMARY KEY (connection, number)
) STRICT;
-- +goose StatementEnd

-- The project "default" is there without a row.
-- +goose StatementBegin
CREATE TABLE projects (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) STRICT;
-- +goose StatementEnd
-- +goose StatementBegin
INSERT INTO projects (name, description, version, created_at, changed_at)
    SELECT project, '', 0, min(created_at), min(created_at) FROM connections WHERE deleted_at IS NULL AND project <> 'default' GROUP BY project;
-- +goose StatementEnd

-- Requests that were carried out, by their keys.
-- +goose StatementBegin
CREATE TABLE requests (
    key     TEXT PRIMARY KEY,
    digest  BLOB NOT NULL,
    answer  BLOB NOT NULL,
    version INTEGER NOT NULL,
    at      INTEGER NOT NULL
) STRICT;
-- +goose StatementEnd
CREATE INDEX requests_by_age ON requests (at);

-- One row, from the first change on: how often the configuration was changed.
-- +goose StatementBegin
CREATE TABLE configuration (
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL
) STRICT;
-- +goose StatementEnd
