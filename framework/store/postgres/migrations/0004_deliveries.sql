-- Stored deliveries say how they ended, how large they are, when their wait
-- began and when they are forgotten.

-- ending is how a delivery ended that does not wait: 0 given up, 1 handled and
-- kept, 2 discarded. bytes is the length of header and body; written_at is when
-- next_attempt_at was written, so that the two are a wait; expires_at is when the
-- row may be removed, NULL for never; note is why it was discarded.
ALTER TABLE stored_deliveries
    ADD COLUMN ending     smallint NOT NULL DEFAULT 0,
    ADD COLUMN bytes      bigint   NOT NULL DEFAULT 0,
    ADD COLUMN written_at timestamptz,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN note       text     NOT NULL DEFAULT '';
UPDATE stored_deliveries SET bytes = coalesce(octet_length(header), 0) + coalesce(octet_length(body), 0);
CREATE INDEX stored_deliveries_ending ON stored_deliveries (connection, dead, ending, id COLLATE "C");
CREATE INDEX stored_deliveries_written ON stored_deliveries (written_at) WHERE NOT dead;
CREATE INDEX stored_deliveries_expiry ON stored_deliveries (expires_at) WHERE expires_at IS NOT NULL;
