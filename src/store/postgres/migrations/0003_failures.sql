-- No text here has a U+0000, and none but `detail` is longer than 1 KiB: who indexes a failure sees to that.

-- `kind`: 1 a rejected payload · 2 a call that finally failed. `state`: 0 open · 1 replayed · 2 dismissed.
CREATE TABLE failures (
    number            bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id          uuid     NOT NULL,
    tenant_id         text     NOT NULL,
    kind              smallint NOT NULL,
    state             smallint NOT NULL DEFAULT 0,
    failed_at         bigint   NOT NULL,
    binding           text     NOT NULL,
    error_code        text     NOT NULL,
    source_key        text     NOT NULL,
    external_order_id text     NOT NULL,
    correlation_id    text     NOT NULL,
    pointer           text     NOT NULL,
    group_id          uuid     NOT NULL,
    replay_of         uuid,
    raw_sha256        bytea,
    topic             text     NOT NULL,
    partition         bigint   NOT NULL,
    record_offset     bigint   NOT NULL,
    detail            text     NOT NULL,
    UNIQUE (event_id, tenant_id)
);
CREATE INDEX failures_by_time ON failures (failed_at, number);
CREATE INDEX failures_by_state ON failures (state, failed_at, number);
CREATE INDEX failures_by_order ON failures (external_order_id, failed_at, number);
CREATE INDEX failures_by_group ON failures (group_id, failed_at, number);
CREATE INDEX failures_by_origin ON failures (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX failures_open ON failures (binding, error_code) WHERE state = 0;

-- Never deleted from, never changed.
CREATE TABLE audit (
    number    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at        bigint NOT NULL,
    operator  text   NOT NULL,
    action    text   NOT NULL,
    tenant_id text,
    subject   text   NOT NULL,
    detail    text   NOT NULL
);
CREATE INDEX audit_by_subject ON audit (subject, number);
