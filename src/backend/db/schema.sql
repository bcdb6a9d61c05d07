-- Migration 1. Times are milliseconds since the Unix epoch; '' stands for "none yet".

-- life counts the starts of a node: what an earlier life still has in flight is refused.
CREATE TABLE nodes (
    node TEXT   NOT NULL PRIMARY KEY,
    life BIGINT NOT NULL
);

CREATE TABLE users (
    tenant_id     TEXT   NOT NULL,
    user_id       TEXT   NOT NULL,
    password_hash TEXT   NOT NULL,
    roles         TEXT   NOT NULL,
    created_ms    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);

CREATE TABLE threads (
    tenant_id  TEXT   NOT NULL,
    thread_id  TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    thread_key TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, thread_id),
    UNIQUE (tenant_id, user_id, thread_key)
);

-- The counter row of a thread's event stream: its lock makes commit order the order of seq.
-- run_id and attempt: the one run that may write to it, '' if none; run_seq: its last event.
CREATE TABLE streams (
    tenant_id TEXT   NOT NULL,
    thread_id TEXT   NOT NULL,
    user_id   TEXT   NOT NULL,
    epoch     TEXT   NOT NULL,
    last_seq  BIGINT NOT NULL DEFAULT 0,
    run_id    TEXT   NOT NULL DEFAULT '',
    attempt   BIGINT NOT NULL DEFAULT 0,
    run_seq   BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, thread_id)
);
CREATE INDEX streams_of_user ON streams (tenant_id, user_id);

-- outcome is '' while the run is live.
CREATE TABLE runs (
    tenant_id  TEXT   NOT NULL,
    thread_id  TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    node       TEXT   NOT NULL,
    agent_name TEXT   NOT NULL,
    state      TEXT   NOT NULL,
    attempt    BIGINT NOT NULL,
    outcome    TEXT   NOT NULL DEFAULT '',
    created_ms BIGINT NOT NULL,
    updated_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, run_id)
);
CREATE INDEX runs_of_node ON runs (node, outcome);

CREATE TABLE messages (
    tenant_id  TEXT   NOT NULL,
    message_id TEXT   NOT NULL,
    thread_id  TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,
    user_id    TEXT   NOT NULL,
    role       TEXT   NOT NULL,
    content    TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, message_id)
);

CREATE TABLE events (
    tenant_id  TEXT   NOT NULL,
    thread_id  TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    event_id   TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,
    run_seq    BIGINT NOT NULL,
    user_id    TEXT   NOT NULL,
    event_type TEXT   NOT NULL,
    agent_name TEXT   NOT NULL,
    attempt    BIGINT NOT NULL,
    ts_ms      BIGINT NOT NULL,
    payload    JSONB  NOT NULL,
    PRIMARY KEY (tenant_id, thread_id, seq),
    UNIQUE (tenant_id, run_id, run_seq),
    -- A statement whose answer was lost may still arrive after it was tried again.
    UNIQUE (tenant_id, run_id, event_id)
);

CREATE TABLE idempotency (
    tenant_id   TEXT   NOT NULL,
    user_id     TEXT   NOT NULL,
    method      TEXT   NOT NULL,
    idem        TEXT   NOT NULL,
    params_hash TEXT   NOT NULL,
    run_id      TEXT   NOT NULL,
    thread_id   TEXT   NOT NULL,
    created_ms  BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id, method, idem)
);

-- Terminal events that are committed and not yet handed to the connections.
CREATE TABLE outbox (
    tenant_id  TEXT   NOT NULL,
    thread_id  TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    run_id     TEXT   NOT NULL,
    event_type TEXT   NOT NULL,
    node       TEXT   NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, thread_id, seq)
);
