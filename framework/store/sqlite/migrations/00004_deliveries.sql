-- Stored deliveries say how they ended, how large they are, when their wait
-- began and when they are forgotten.
--
-- What is found by these columns is found by an index: they come after the body,
-- and SQLite follows a long row page by page to what comes after.

-- +goose Up
-- How a delivery ended that does not wait: 0 given up, 1 handled and kept, 2 discarded.
ALTER TABLE stored_deliveries ADD COLUMN ending INTEGER NOT NULL DEFAULT 0;
-- The length of header and body.
ALTER TABLE stored_deliveries ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
-- When next_attempt_at was written: the two are a wait.
ALTER TABLE stored_deliveries ADD COLUMN written_at INTEGER;
-- When the row may be removed; NULL is never.
ALTER TABLE stored_deliveries ADD COLUMN expires_at INTEGER;
-- Why it was discarded.
ALTER TABLE stored_deliveries ADD COLUMN note TEXT NOT NULL DEFAULT '';
UPDATE stored_deliveries SET bytes = coalesce(length(header), 0) + coalesce(length(body), 0);
CREATE INDEX stored_deliveries_ending ON stored_deliveries (connection, dead, ending, id, bytes);
CREATE INDEX stored_deliveries_written ON stored_deliveries (written_at) WHERE dead = 0;
CREATE INDEX stored_deliveries_expiry ON stored_deliveries (expires_at) WHERE expires_at IS NOT NULL;
