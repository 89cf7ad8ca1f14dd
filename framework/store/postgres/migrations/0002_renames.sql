-- Streams that were renamed.

-- The key in which the ids of a stream's events and the hashes of its keys are
-- made: the one that the stream had first. It never changes, so a rename changes
-- neither. Empty means that the stream still has that key.
ALTER TABLE streams ADD COLUMN origin text NOT NULL DEFAULT '';

-- The keys that renamed streams had. A program that knows a stream only by one
-- of them is older than the rename, and must not begin another stream under it.
CREATE TABLE former_keys (
    connection integer NOT NULL,
    key        text    NOT NULL,
    stream     integer NOT NULL,
    PRIMARY KEY (connection, key)
);
