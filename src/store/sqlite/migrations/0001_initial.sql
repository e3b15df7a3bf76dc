-- A random key costs a page write, so only `orders_by_id` has one over all its rows. Everything else is appended, in
-- the order of the lanes or of time.

-- `lane` stands for (topic, partition) in every other table. A lane is written by one owner, whose epoch is newest.
CREATE TABLE lanes (
    lane           INTEGER PRIMARY KEY,
    topic          TEXT    NOT NULL,
    partition      INTEGER NOT NULL,
    epoch          INTEGER NOT NULL DEFAULT 0,
    decided        INTEGER NOT NULL DEFAULT 0,
    confirmed      INTEGER NOT NULL DEFAULT 0,
    timers         INTEGER NOT NULL DEFAULT 0,
    taken          INTEGER NOT NULL DEFAULT 0,
    applied        INTEGER NOT NULL DEFAULT 0,
    parked         INTEGER NOT NULL DEFAULT 0,
    -- What is stored now, by the lane that stored it: kept here because this row is written anyway.
    orders         INTEGER NOT NULL DEFAULT 0,
    parked_updates INTEGER NOT NULL DEFAULT 0,
    tombstones     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, partition)
) STRICT;

-- `phase`: 0 no state, only ledger rows · 1 unknown · 2 received · 3 cancelled · 4 tombstone.
-- Phase 0 has neither key nor `changed_at`, and goes with the last of its ledger rows.
CREATE TABLE orders (
    number                 INTEGER PRIMARY KEY,
    id                     BLOB    NOT NULL,
    phase                  INTEGER NOT NULL,
    lane                   INTEGER NOT NULL,
    changed_at             INTEGER,
    tenant_id              TEXT,
    source_key             TEXT,
    external_order_id      TEXT,
    -- Phases 2 and 3.
    revision               INTEGER,
    digest                 BLOB,
    transformation_version TEXT,
    -- Phase 4.
    tombstone_offset       INTEGER,
    cancelled_at           INTEGER,
    reason_code            TEXT,
    reason                 TEXT,
    expires_at             INTEGER,
    -- Phases 2 and 3. Last, so that nothing else lies behind its overflow pages.
    canonical              BLOB
) STRICT;
CREATE UNIQUE INDEX orders_by_id ON orders (id);
CREATE INDEX orders_by_change ON orders (changed_at) WHERE changed_at IS NOT NULL;
CREATE INDEX orders_by_expiry ON orders (lane, expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE parked_updates (
    order_number  INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    lane          INTEGER NOT NULL,
    revision      INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    traceparent   TEXT,
    value         BLOB    NOT NULL,
    PRIMARY KEY (order_number, record_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_updates_by_expiry ON parked_updates (lane, expires_at);

-- `step`: 0 the record itself, 1 and on the releases it caused, in the order they were written.
CREATE TABLE decisions (
    lane          INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    step          INTEGER NOT NULL,
    released      INTEGER,
    outcome       INTEGER NOT NULL,
    decided_at    INTEGER NOT NULL,
    effects       BLOB    NOT NULL,
    PRIMARY KEY (lane, record_offset, step)
) STRICT, WITHOUT ROWID;

-- `decided`: where the lane stood when the timer ran out. The record that set the timer may be a month older, far
-- below the replay window, while these effects are still on their way to the log.
CREATE TABLE timer_decisions (
    lane          INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    decided       INTEGER NOT NULL,
    outcome       INTEGER NOT NULL,
    decided_at    INTEGER NOT NULL,
    effects       BLOB    NOT NULL,
    PRIMARY KEY (lane, number)
) STRICT, WITHOUT ROWID;

-- Never changed once written: what changes of a payload is in its narrow index row.
CREATE TABLE payloads (
    payload INTEGER PRIMARY KEY,
    digest  BLOB NOT NULL,
    bytes   BLOB NOT NULL
) STRICT;

-- `generation`: a run of 4096 payloads. Digests are random; by generation they are written and deleted side by side,
-- in a few pages whatever the number of payloads kept, and a reading, which is rare, asks each generation.
-- `prefix`: the first 64 bits of the digest. Two payloads may share it; the whole digest is compared.
CREATE TABLE payload_index (
    generation  INTEGER NOT NULL,
    prefix      INTEGER NOT NULL,
    payload     INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (generation, prefix, payload)
) STRICT, WITHOUT ROWID;
CREATE INDEX payload_index_by_age ON payload_index (received_at);

-- At most one of `released` and `timer` is there: the origin is a release, a timer, or else a record.
CREATE TABLE ledger (
    order_number  INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    at            INTEGER NOT NULL,
    lane          INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    released      INTEGER,
    timer         INTEGER,
    detail        TEXT    NOT NULL,
    PRIMARY KEY (order_number, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_by_age ON ledger (at);
