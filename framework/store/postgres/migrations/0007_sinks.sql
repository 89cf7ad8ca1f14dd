-- What sinks have delivered. source and stream are the numbers of the stream
-- that is read, so a rename keeps them.

CREATE TABLE offsets (
    connection    integer     NOT NULL,
    source        integer     NOT NULL,
    stream        integer     NOT NULL,
    next          bigint      NOT NULL,
    delivered     bigint      NOT NULL,
    dead          bigint      NOT NULL,
    delivered_at  timestamptz,
    last_error    text        NOT NULL,
    last_error_at timestamptz,
    failures      bigint      NOT NULL,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (connection, source, stream)
) WITH (fillfactor = 50);
CREATE INDEX offsets_by_source ON offsets (source);

CREATE TABLE parked (
    connection      integer     NOT NULL,
    source          integer     NOT NULL,
    stream          integer     NOT NULL,
    sequence        bigint      NOT NULL,
    attempts        bigint      NOT NULL,
    parked_at       timestamptz NOT NULL,
    next_attempt_at timestamptz NOT NULL,
    last_error      text        NOT NULL,
    status          bigint      NOT NULL,
    event           bytea,
    PRIMARY KEY (connection, source, stream, sequence)
) WITH (fillfactor = 70);
CREATE INDEX parked_by_source ON parked (source);

-- A dead letter outlives the stream and the connection that it came from, so it
-- names them.
CREATE TABLE dead_events (
    connection integer     NOT NULL,
    id         text        NOT NULL,
    source_id  text        NOT NULL,
    stream_key text        NOT NULL,
    sequence   bigint      NOT NULL,
    event      bytea,
    reason     text        NOT NULL,
    attempts   bigint      NOT NULL,
    status     bigint      NOT NULL,
    request    bytea,
    response   bytea,
    first_at   timestamptz,
    dead_at    timestamptz NOT NULL,
    discarded  boolean     NOT NULL,
    note       text        NOT NULL,
    PRIMARY KEY (connection, id)
);
CREATE INDEX dead_events_by_age ON dead_events (connection, id COLLATE "C");
CREATE INDEX dead_events_by_source ON dead_events (source_id);
