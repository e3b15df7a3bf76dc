-- `failures.kind`: 3 a call · 4 a translation, both dead letters of a lane. `failures.state`: 3 resolved.

-- `state`: 0 planned · 1 running · 2 done · 3 stopped · 4 cancelled. `tenants`: NULL: of every tenant.
CREATE TABLE replay_jobs (
    number           bigint   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id               uuid     NOT NULL UNIQUE,
    operator         text     NOT NULL,
    reason           text     NOT NULL,
    tenants          text[],
    question         text     NOT NULL,
    state            smallint NOT NULL DEFAULT 0,
    pace             text,
    created_at       bigint   NOT NULL,
    started_at       bigint,
    ended_at         bigint,
    note             text,
    keys             bigint   NOT NULL DEFAULT 0,
    keys_left_behind bigint   NOT NULL DEFAULT 0
);
CREATE INDEX replay_jobs_by_state ON replay_jobs (state, number);

-- `state`: 0 pending · 1 requested · 2 succeeded · 3 failed · 4 refused.
CREATE TABLE replay_items (
    job        bigint   NOT NULL,
    number     bigint   NOT NULL,
    event_id   uuid     NOT NULL,
    tenant_id  text     NOT NULL,
    kind       smallint NOT NULL,
    state      smallint NOT NULL DEFAULT 0,
    command_id uuid,
    outcome    text,
    changed_at bigint,
    PRIMARY KEY (job, number)
);
CREATE INDEX replay_items_by_state ON replay_items (job, state, number);
CREATE INDEX replay_items_by_failure ON replay_items (event_id, job);

-- One row: who runs jobs.
CREATE TABLE replay_lease (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint  NOT NULL,
    holder uuid    NOT NULL,
    until  bigint  NOT NULL
);
