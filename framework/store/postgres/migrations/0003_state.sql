-- Named pieces of state of a connection: the progress of backfills, rate budgets.

CREATE TABLE states (
    connection integer     NOT NULL,
    name       text        NOT NULL,
    value      bytea       NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (connection, name)
) WITH (fillfactor = 50);
