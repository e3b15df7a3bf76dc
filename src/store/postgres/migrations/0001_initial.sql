-- Texts that a sender or a mapping chose are `bytea` in UTF-8: a `text` cannot hold U+0000, and one order with such
-- an id would stop its lane for good. `convert_from(column, 'UTF8')` shows them.
--
-- Orders, parked updates and ledger rows are found by the order's id alone, without numbers of ours in between: two
-- gateways write at once, and a row that stands for an order would need a lock by each of them.

-- `lane` stands for (topic, partition) in every other table. A lane is written by one owner, whose epoch is newest.
-- A row changes with every write and nothing else in it is indexed: room on its page keeps it there.
CREATE TABLE lanes (
    lane           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition      bigint NOT NULL,
    epoch          bigint NOT NULL DEFAULT 0,
    decided        bigint NOT NULL DEFAULT 0,
    confirmed      bigint NOT NULL DEFAULT 0,
    timers         bigint NOT NULL DEFAULT 0,
    taken          bigint NOT NULL DEFAULT 0,
    applied        bigint NOT NULL DEFAULT 0,
    parked         bigint NOT NULL DEFAULT 0,
    -- What the lane has stored, less what it has replaced: kept here because this row is written anyway.
    orders         bigint NOT NULL DEFAULT 0,
    parked_updates bigint NOT NULL DEFAULT 0,
    tombstones     bigint NOT NULL DEFAULT 0,
    topic          text   NOT NULL,
    UNIQUE (topic, partition)
) WITH (fillfactor = 20);

-- How many of the orders counted in `lanes` were pruned: pruning must not wait for a lane, nor a lane for pruning.
CREATE TABLE pruned (
    orders bigint NOT NULL
);
INSERT INTO pruned (orders) VALUES (0);

-- `phase`: 1 unknown · 2 received · 3 cancelled · 4 tombstone. `parked`: how many rows of `parked_updates` it has.
CREATE TABLE orders (
    id                     uuid     PRIMARY KEY,
    changed_at             bigint   NOT NULL,
    lane                   integer  NOT NULL,
    parked                 integer  NOT NULL,
    phase                  smallint NOT NULL,
    tenant_id              bytea    NOT NULL,
    source_key             bytea    NOT NULL,
    external_order_id      bytea    NOT NULL,
    -- Phases 2 and 3.
    revision               bigint,
    digest                 bytea,
    transformation_version bytea,
    canonical              bytea,
    -- Phase 4.
    tombstone_offset       bigint,
    cancelled_at           bigint,
    expires_at             bigint,
    reason_code            bytea,
    reason                 bytea
);
-- What waits for its creation is never pruned: a tombstone's lane ends it at its deadline.
CREATE INDEX orders_by_change ON orders (changed_at) WHERE phase <> 4 AND parked = 0;
CREATE INDEX orders_by_expiry ON orders (lane, expires_at, tombstone_offset) WHERE expires_at IS NOT NULL;

CREATE TABLE parked_updates (
    order_id      uuid    NOT NULL,
    record_offset bigint  NOT NULL,
    revision      bigint  NOT NULL,
    expires_at    bigint  NOT NULL,
    lane          integer NOT NULL,
    traceparent   bytea,
    value         bytea   NOT NULL,
    PRIMARY KEY (order_id, record_offset)
);
CREATE INDEX parked_updates_by_expiry ON parked_updates (lane, expires_at, record_offset);

-- `released`: -1 the record itself, else the offset of the update it released. `seq` is the order of writing.
CREATE TABLE decisions (
    record_offset bigint   NOT NULL,
    released      bigint   NOT NULL,
    seq           bigint   GENERATED ALWAYS AS IDENTITY,
    decided_at    bigint   NOT NULL,
    lane          integer  NOT NULL,
    outcome       smallint NOT NULL,
    effects       bytea    NOT NULL,
    PRIMARY KEY (lane, record_offset, released)
);

-- `decided`: where the lane stood when the timer ran out. The record that set the timer may be a month older, far
-- below the replay window, while these effects are still on their way to the log.
CREATE TABLE timer_decisions (
    number        bigint   NOT NULL,
    record_offset bigint   NOT NULL,
    decided       bigint   NOT NULL,
    decided_at    bigint   NOT NULL,
    lane          integer  NOT NULL,
    outcome       smallint NOT NULL,
    effects       bytea    NOT NULL,
    PRIMARY KEY (lane, number)
);
CREATE INDEX timer_decisions_by_place ON timer_decisions (lane, decided);

CREATE TABLE payloads (
    received_at bigint NOT NULL,
    digest      bytea  PRIMARY KEY,
    bytes       bytea  NOT NULL
);
CREATE INDEX payloads_by_age ON payloads (received_at);

-- `released`: as in `decisions`. `timer`: its number, if the origin is a timer. `seq` is the order of writing.
CREATE TABLE ledger (
    order_id      uuid    NOT NULL,
    seq           bigint  GENERATED ALWAYS AS IDENTITY,
    at            bigint  NOT NULL,
    record_offset bigint  NOT NULL,
    released      bigint,
    timer         bigint,
    lane          integer NOT NULL,
    detail        bytea   NOT NULL,
    PRIMARY KEY (order_id, seq)
);
CREATE INDEX ledger_by_age ON ledger (at);

-- Large values are compressed by lz4: as fast as not at all, for half of the write-ahead log. A server built without
-- it has only a far slower method: there, what lives for days alone is left as it is.
DO $$
BEGIN
    ALTER TABLE orders ALTER COLUMN canonical SET COMPRESSION lz4;
    ALTER TABLE parked_updates ALTER COLUMN value SET COMPRESSION lz4;
    ALTER TABLE decisions ALTER COLUMN effects SET COMPRESSION lz4;
    ALTER TABLE timer_decisions ALTER COLUMN effects SET COMPRESSION lz4;
    ALTER TABLE payloads ALTER COLUMN bytes SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    ALTER TABLE decisions ALTER COLUMN effects SET STORAGE EXTERNAL;
    ALTER TABLE timer_decisions ALTER COLUMN effects SET STORAGE EXTERNAL;
END
$$;
