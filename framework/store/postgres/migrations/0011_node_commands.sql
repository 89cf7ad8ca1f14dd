-- What is asked of one process rather than of a connection's, whose shard is -1:
-- an older version looks for those of its shards only, and so never takes it.
ALTER TABLE commands ADD COLUMN node bigint;
