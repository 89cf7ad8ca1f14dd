-- Streams that were renamed.

-- +goose Up
-- The key in which the ids of a stream's events and the hashes of its keys are
-- made: the one that the stream had first. It never changes, so a rename changes
-- neither. Empty means that the stream still has that key.
-- +goose StatementBegin
ALTER TABLE streams ADD COLUMN origin TEXT NOT NULL DEFAULT '';
-- +goose StatementEnd

-- The keys that renamed streams had. A program that knows a stream only by one
-- of them is older than the rename, and must not begin another stream under it.
-- +goose StatementBegin
CREATE TABLE former_keys (
    connection INTEGER NOT NULL,
    key        TEXT NOT NULL,
    stream     INTEGER NOT NULL,
    PRIMARY KEY (connection, key)
) STRICT;
-- +goose StatementEnd
