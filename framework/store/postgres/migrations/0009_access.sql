-- Who may call the management API, and what they did.

CREATE TABLE tokens (
    id         text        COLLATE "C" NOT NULL PRIMARY KEY,
    name       text        NOT NULL,
    role       text        NOT NULL,
    project    text        NOT NULL,
    -- The SHA-256 of the token: the token itself is kept nowhere.
    digest     bytea       NOT NULL,
    created_by text        NOT NULL,
    created_at timestamptz NOT NULL,
    -- NULL is never.
    expires_at timestamptz,
    revoked_at timestamptz
);
CREATE UNIQUE INDEX tokens_by_digest ON tokens (digest);
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;

CREATE TABLE audit (
    id          text        COLLATE "C" NOT NULL PRIMARY KEY,
    recorded_at timestamptz NOT NULL,
    actor       text        NOT NULL,
    role        text        NOT NULL,
    address     text        NOT NULL,
    action      text        NOT NULL,
    project     text        NOT NULL,
    connection  text        NOT NULL,
    detail      text        NOT NULL,
    status      bigint      NOT NULL
);
