-- The first schema of a store.
--
-- Tables of the hot path refer to connections and streams by small integers that
-- are never given twice, and their keys begin with the connection's. No foreign
-- keys: a commit must not lock more than its heads. Hashes are 16 bytes, keyed
-- with the store's secret; uuid is the type of PostgreSQL that is 16 bytes long
-- without a header. Where a time may be missing, NULL says so. What comes from
-- providers is bytea: a text refuses NUL bytes, and jsonb rewrites numbers.

CREATE TABLE meta (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- Who may write. Shard 0 stands for the whole store until shards are given to
-- nodes one by one. A commit holds FOR KEY SHARE on the row, which a heartbeat
-- does not wait for and a takeover (FOR UPDATE) does.
CREATE TABLE leases (
    shard      smallint    PRIMARY KEY,
    epoch      bigint      NOT NULL,
    node       text        NOT NULL,
    holder     text        NOT NULL,
    taken_at   timestamptz NOT NULL,
    renewed_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);
INSERT INTO leases VALUES (0, 0, '', '', '-infinity', '-infinity', '-infinity');

-- One row a writing process. marker names its last transaction: a process that
-- lost its connection during COMMIT asks for it.
CREATE TABLE writers (
    num        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       text        NOT NULL,
    epoch      bigint      NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    marker     text        NOT NULL DEFAULT '',
    touched    bigint      NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

CREATE TABLE connections (
    num        integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text        NOT NULL UNIQUE,
    project    text        NOT NULL,
    name       text        NOT NULL,
    connector  text        NOT NULL,
    type       text        NOT NULL,
    enabled    boolean     NOT NULL,
    created_at timestamptz NOT NULL,
    -- A deleted connection is invisible at once; its rows are removed little by little.
    deleted_at timestamptz
);
CREATE UNIQUE INDEX connections_by_name ON connections (project, name) WHERE deleted_at IS NULL;
CREATE INDEX connections_deleted ON connections (num) WHERE deleted_at IS NOT NULL;

-- Head and status of each stream.
CREATE TABLE streams (
    connection       integer     NOT NULL,
    num              integer     GENERATED ALWAYS AS IDENTITY,
    stream           text        NOT NULL,
    head             bigint      NOT NULL DEFAULT 0,
    duplicates       bigint      NOT NULL DEFAULT 0,
    last_success_at  timestamptz,
    next_run_at      timestamptz,
    last_error       text        NOT NULL DEFAULT '',
    last_error_class text        NOT NULL DEFAULT '',
    last_error_at    timestamptz,
    failures         bigint      NOT NULL DEFAULT 0,
    paused           boolean     NOT NULL DEFAULT false,
    PRIMARY KEY (connection, num),
    UNIQUE (connection, stream)
) WITH (fillfactor = 50);

-- Segments of the log. The writer appends to the newest one, and a segment's
-- number never falls along a stream, because it is read below the lock of the
-- stream's head. Retention drops whole segments.
CREATE TABLE segments (
    num       integer     PRIMARY KEY,
    opened_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO segments (num) VALUES (1);

CREATE TABLE events (
    connection  integer     NOT NULL,
    stream      integer     NOT NULL,
    sequence    bigint      NOT NULL,
    segment     integer     NOT NULL,
    deletion    boolean     NOT NULL,
    late        boolean     NOT NULL,
    time        timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    type        text        NOT NULL,
    subject     bytea       NOT NULL,
    key         bytea       NOT NULL,
    payload     bytea,
    PRIMARY KEY (connection, stream, sequence, segment)
) PARTITION BY RANGE (segment);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (2);

-- The memory of keys. It outlives the events.
CREATE TABLE keys (
    connection integer NOT NULL,
    stream     integer NOT NULL,
    hash       uuid    NOT NULL,
    sequence   bigint  NOT NULL,
    PRIMARY KEY (connection, stream, hash)
) PARTITION BY HASH (hash);

-- The newest version of each entity.
CREATE TABLE entities (
    connection integer     NOT NULL,
    stream     integer     NOT NULL,
    hash       uuid        NOT NULL,
    payload    uuid        NOT NULL,
    time       timestamptz NOT NULL,
    sequence   bigint      NOT NULL,
    revision   bigint      NOT NULL,
    latest     boolean     NOT NULL,
    PRIMARY KEY (connection, stream, hash)
) PARTITION BY HASH (hash);

DO $$
BEGIN
    FOR i IN 0..15 LOOP
        EXECUTE format('CREATE TABLE keys_%s PARTITION OF keys FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i, i);
        EXECUTE format('CREATE TABLE entities_%s PARTITION OF entities FOR VALUES WITH (MODULUS 16, REMAINDER %s) WITH (fillfactor = 80)', i, i);
    END LOOP;
END $$;

CREATE TABLE checkpoints (
    connection     integer     NOT NULL,
    stream         text        NOT NULL,
    lane           text        NOT NULL,
    commit_id      text        NOT NULL,
    previous       text        NOT NULL,
    cursor         bytea,
    cursor_version bigint      NOT NULL,
    cursor_digest  text        NOT NULL,
    window_from    timestamptz,
    window_to      timestamptz,
    window_done    timestamptz,
    run_id         text        NOT NULL,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (connection, stream, lane)
) WITH (fillfactor = 50);

CREATE TABLE runs (
    connection  integer NOT NULL,
    id          text    NOT NULL,
    stream      text    NOT NULL,
    trigger     text    NOT NULL,
    state       text    NOT NULL,
    epoch       bigint  NOT NULL,
    started_at  timestamptz,
    finished_at timestamptz,
    pages       bigint  NOT NULL,
    events      bigint  NOT NULL,
    duplicates  bigint  NOT NULL,
    error       text    NOT NULL,
    error_class text    NOT NULL,
    stack       text    NOT NULL,
    PRIMARY KEY (connection, id)
) WITH (fillfactor = 70);
CREATE INDEX runs_by_id ON runs (id);
-- Ids are base32 in the order of time; the order of a locale is not that of bytes.
CREATE INDEX runs_by_stream ON runs (connection, stream, id COLLATE "C");
CREATE INDEX runs_running ON runs (epoch) WHERE state = 'running';

CREATE TABLE hourly (
    connection integer     NOT NULL,
    stream     integer     NOT NULL,
    hour       timestamptz NOT NULL,
    events     bigint      NOT NULL,
    duplicates bigint      NOT NULL,
    runs       bigint      NOT NULL,
    failures   bigint      NOT NULL,
    PRIMARY KEY (connection, stream, hour)
) WITH (fillfactor = 70);

CREATE TABLE delivery_keys (
    connection  integer     NOT NULL,
    endpoint    text        NOT NULL,
    hash        uuid        NOT NULL,
    delivery_id text        NOT NULL,
    first_event text        NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (connection, endpoint, hash)
);
CREATE INDEX delivery_keys_by_age ON delivery_keys (at);

CREATE TABLE stored_deliveries (
    connection      integer NOT NULL,
    id              text    NOT NULL,
    endpoint        text    NOT NULL,
    key             text    NOT NULL,
    received_at     timestamptz,
    header          bytea,
    body            bytea,
    attempts        bigint  NOT NULL,
    next_attempt_at timestamptz,
    dead            boolean NOT NULL,
    last_error      text    NOT NULL,
    PRIMARY KEY (connection, id)
);
CREATE INDEX stored_deliveries_due ON stored_deliveries (dead, next_attempt_at);
