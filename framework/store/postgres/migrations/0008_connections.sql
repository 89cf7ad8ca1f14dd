-- What connections are configured to be: revisions, of which one may be deployed.

-- version is that of the configuration that changed the connection last.
ALTER TABLE connections
    ADD COLUMN state      text   NOT NULL DEFAULT 'draft',
    ADD COLUMN latest     bigint NOT NULL DEFAULT 0,
    ADD COLUMN deployed   bigint NOT NULL DEFAULT 0,
    ADD COLUMN managed_by text   NOT NULL DEFAULT 'file',
    ADD COLUMN form       text   NOT NULL DEFAULT '',
    ADD COLUMN labels     text   NOT NULL DEFAULT '',
    ADD COLUMN version    bigint NOT NULL DEFAULT 0,
    ADD COLUMN changed_at timestamptz;

CREATE TABLE revisions (
    connection integer     NOT NULL,
    number     bigint      NOT NULL,
    spec       bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL,
    message    text        NOT NULL,
    PRIMARY KEY (connection, number)
);

-- The project "default" is there without a row.
CREATE TABLE projects (
    name        text        PRIMARY KEY,
    description text        NOT NULL,
    version     bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL
);
INSERT INTO projects (name, description, version, created_at, changed_at)
    SELECT project, '', 0, min(created_at), min(created_at) FROM connections WHERE deleted_at IS NULL AND project <> 'default' GROUP BY project;

-- Requests that were carried out, by their keys.
CREATE TABLE requests (
    key     text        PRIMARY KEY,
    digest  bytea       NOT NULL,
    answer  bytea       NOT NULL,
    version bigint      NOT NULL,
    at      timestamptz NOT NULL
);
CREATE INDEX requests_by_age ON requests (at);

-- One row, from the first change on: how often the configuration was changed.
CREATE TABLE configuration (
    id      integer PRIMARY KEY CHECK (id = 1),
    version bigint  NOT NULL
) WITH (fillfactor = 10);
