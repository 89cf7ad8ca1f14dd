-- Runs of actions, and their progress.

CREATE TABLE action_runs (
    connection  integer     NOT NULL,
    id          text        NOT NULL UNIQUE,
    target      text        NOT NULL,
    action      text        NOT NULL,
    origin      text        NOT NULL,
    state       text        NOT NULL,
    owner       text        NOT NULL,
    seen_at     timestamptz NOT NULL,
    cancel_at   timestamptz,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    percent     bigint      NOT NULL,
    message     text        NOT NULL,
    events      bigint      NOT NULL,
    error       text        NOT NULL,
    error_class text        NOT NULL,
    stack       text        NOT NULL,
    output      bytea,
    PRIMARY KEY (connection, id)
) WITH (fillfactor = 50);
CREATE INDEX action_runs_running ON action_runs (owner) WHERE state = 'running';
CREATE INDEX action_runs_by_age ON action_runs (connection, id COLLATE "C");
CREATE INDEX action_runs_by_target ON action_runs (target, id COLLATE "C") WHERE target <> '';

CREATE TABLE action_events (
    connection integer     NOT NULL,
    run        text        NOT NULL,
    sequence   bigint      NOT NULL,
    at         timestamptz NOT NULL,
    percent    bigint      NOT NULL,
    message    text        NOT NULL,
    PRIMARY KEY (connection, run, sequence)
);
