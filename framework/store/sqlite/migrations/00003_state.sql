-- Named pieces of state of a connection: the progress of backfills, rate budgets.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE states (
    connection INTEGER NOT NULL,
    name       TEXT NOT NULL,
    value      BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (connection, name)
) STRICT;
-- +goose StatementEnd
