-- `failures.kind`: 3 a call · 4 a translation, both dead letters of a lane. `failures.state`: 3 resolved.

-- `state`: 0 planned · 1 running · 2 done · 3 stopped · 4 cancelled. `tenants`: a JSON array; NULL: of every tenant.
CREATE TABLE replay_jobs (
    number           INTEGER PRIMARY KEY AUTOINCREMENT,
    id               BLOB    NOT NULL UNIQUE,
    operator         TEXT    NOT NULL,
    reason           TEXT    NOT NULL,
    tenants          TEXT,
    question         TEXT    NOT NULL,
    state            INTEGER NOT NULL DEFAULT 0,
    pace             TEXT,
    created_at       INTEGER NOT NULL,
    started_at       INTEGER,
    ended_at         INTEGER,
    note             TEXT,
    keys             INTEGER NOT NULL DEFAULT 0,
    keys_left_behind INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX replay_jobs_by_state ON replay_jobs (state, number);

-- `state`: 0 pending · 1 requested · 2 succeeded · 3 failed · 4 refused.
CREATE TABLE replay_items (
    job        INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    event_id   BLOB    NOT NULL,
    tenant_id  TEXT    NOT NULL,
    kind       INTEGER NOT NULL,
    state      INTEGER NOT NULL DEFAULT 0,
    command_id BLOB,
    outcome    TEXT,
    changed_at INTEGER,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX replay_items_by_state ON replay_items (job, state, number);
CREATE INDEX replay_items_by_failure ON replay_items (event_id, job);

-- One row: who runs jobs.
CREATE TABLE replay_lease (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,
    holder BLOB    NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
