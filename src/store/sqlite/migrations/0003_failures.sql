-- Failures are few beside the orders: several indexes, so that a page of a long list is found without reading it all.

-- `kind`: 1 a rejected payload · 2 a call that finally failed. `state`: 0 open · 1 replayed · 2 dismissed.
CREATE TABLE failures (
    number            INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id          BLOB    NOT NULL,
    tenant_id         TEXT    NOT NULL,
    kind              INTEGER NOT NULL,
    state             INTEGER NOT NULL DEFAULT 0,
    failed_at         INTEGER NOT NULL,
    binding           TEXT    NOT NULL,
    error_code        TEXT    NOT NULL,
    source_key        TEXT    NOT NULL,
    external_order_id TEXT    NOT NULL,
    correlation_id    TEXT    NOT NULL,
    pointer           TEXT    NOT NULL,
    group_id          BLOB    NOT NULL,
    replay_of         BLOB,
    raw_sha256        BLOB,
    topic             TEXT    NOT NULL,
    partition         INTEGER NOT NULL,
    record_offset     INTEGER NOT NULL,
    detail            TEXT    NOT NULL,
    UNIQUE (event_id, tenant_id)
) STRICT;
CREATE INDEX failures_by_time ON failures (failed_at, number);
CREATE INDEX failures_by_state ON failures (state, failed_at, number);
CREATE INDEX failures_by_order ON failures (external_order_id, failed_at, number);
CREATE INDEX failures_by_group ON failures (group_id, failed_at, number);
CREATE INDEX failures_by_origin ON failures (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX failures_open ON failures (binding, error_code) WHERE state = 0;

-- Never deleted from, never changed.
CREATE TABLE audit (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    operator  TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    tenant_id TEXT,
    subject   TEXT    NOT NULL,
    detail    TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, number);
