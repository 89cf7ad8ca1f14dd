-- Several nodes on one store.

-- The processes that share the store, each with a heartbeat. While a row is
-- here, nobody takes the shards of its process.
CREATE TABLE nodes (
    num        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       text        NOT NULL,
    holder     text        NOT NULL,
    writer     bigint      NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Which node has the lease of which shard; NULL, or the number of a node that is
-- gone, for a free one. A commit holds FOR KEY SHARE on the rows of its shards,
-- which a takeover (FOR UPDATE) passes by until the commit has ended.
CREATE TABLE shards (
    shard    smallint PRIMARY KEY,
    epoch    bigint   NOT NULL,
    node     bigint,
    taken_at timestamptz
) WITH (fillfactor = 50);

-- Epochs go on where that of the whole store stood. Raising it fences a process
-- of before that has not noticed yet; such a one is no longer started.
INSERT INTO shards (shard, epoch) SELECT s, l.epoch FROM generate_series(0, 255) s, leases l WHERE l.shard = 0;
UPDATE leases SET epoch = epoch + 1, expires_at = '-infinity' WHERE shard = 0;

-- What operators ask of a node by way of another one.
CREATE TABLE commands (
    id         text        PRIMARY KEY,
    shard      smallint    NOT NULL,
    request    bytea       NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT now(),
    taken_at   timestamptz,
    answer     bytea
) WITH (fillfactor = 50);
CREATE INDEX commands_open ON commands (shard) WHERE taken_at IS NULL;

-- The runs that go on, by stream.
CREATE INDEX runs_going ON runs (connection, stream) WHERE state = 'running';
