-- Lanes of the lane engine. Keys of records and ids of the platform may be of any length, which an index row may not:
-- what is found by one is found by `..._id`, the first half of its SHA-256. Texts are `bytea`, as elsewhere.

-- `batch`: number of the last one. `confirmed_batch`: that of `checkpoint`, so that pruning need not read it.
ALTER TABLE lanes
    ADD COLUMN batch           bigint NOT NULL DEFAULT 0,
    ADD COLUMN confirmed_batch bigint NOT NULL DEFAULT 0,
    ADD COLUMN checkpoint      text;

-- `topic`: 0 source · 1 control · 2 held · 3 and on the tiers, in every table here.
CREATE TABLE lane_decisions (
    record_offset bigint   NOT NULL,
    seq           bigint   NOT NULL,
    batch         bigint   NOT NULL,
    lane          integer  NOT NULL,
    topic         smallint NOT NULL,
    decision      bytea    NOT NULL,
    effects       bytea    NOT NULL,
    PRIMARY KEY (lane, topic, record_offset)
);
CREATE INDEX lane_decisions_by_record ON lane_decisions (lane, seq);

-- `expires_at`: by this server's clock. `answer`: NULL while the attempt is under way.
CREATE TABLE claims (
    seq        bigint  NOT NULL,
    epoch      bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    lane       integer NOT NULL,
    attempt    integer NOT NULL,
    answer     bytea,
    PRIMARY KEY (lane, seq, attempt)
);

-- `died_at`: a record that was ever dead may come back from the dead letters. What it ended with says that it has.
CREATE TABLE ends (
    seq     bigint  NOT NULL,
    hop     bigint  NOT NULL,
    batch   bigint  NOT NULL,
    died_at bigint,
    lane    integer NOT NULL,
    PRIMARY KEY (lane, seq)
);
CREATE INDEX ends_alive ON ends (lane, seq) WHERE died_at IS NULL;
CREATE INDEX ends_by_death ON ends (died_at) WHERE died_at IS NOT NULL;

-- The highest sequence of the key that was ever claimed.
CREATE TABLE last_claims (
    key_id     uuid    NOT NULL,
    seq        bigint  NOT NULL,
    claimed_at bigint  NOT NULL,
    lane       integer NOT NULL,
    PRIMARY KEY (lane, key_id)
);
CREATE INDEX last_claims_by_age ON last_claims (claimed_at);

-- `outcome`: 1 done · 2 nothing · 3 overtaken · 4 not head. An id has at most 128 bytes.
CREATE TABLE commands (
    at      bigint   NOT NULL,
    lane    integer  NOT NULL,
    outcome smallint NOT NULL,
    id      bytea    NOT NULL,
    PRIMARY KEY (id, lane)
);
CREATE INDEX commands_by_age ON commands (at);

CREATE TABLE parked_records (
    seq        bigint  NOT NULL,
    expires_at bigint  NOT NULL,
    lane       integer NOT NULL,
    key        bytea   NOT NULL,
    headers    bytea   NOT NULL,
    value      bytea,
    PRIMARY KEY (lane, seq)
);
CREATE INDEX parked_records_by_expiry ON parked_records (lane, expires_at);

-- `place`: of the id among those of the record. `order_id`: the id, if it has the form of an order's own.
CREATE TABLE wanted_ids (
    seq         bigint  NOT NULL,
    lane        integer NOT NULL,
    place       integer NOT NULL,
    wanted_id   uuid    NOT NULL,
    order_id    uuid,
    platform_id bytea   NOT NULL,
    PRIMARY KEY (lane, seq, place)
);

-- `decided`: where the lane stood, as for timers: the record may be a month older.
CREATE TABLE released_records (
    batch   bigint  NOT NULL,
    seq     bigint  NOT NULL,
    decided bigint  NOT NULL,
    lane    integer NOT NULL,
    effects bytea   NOT NULL,
    PRIMARY KEY (lane, batch, seq)
);

CREATE TABLE links (
    link_id           uuid   NOT NULL PRIMARY KEY,
    changed_at        bigint NOT NULL,
    tenant_id         bytea  NOT NULL,
    source_key        bytea  NOT NULL,
    external_order_id bytea  NOT NULL,
    country_code      bytea  NOT NULL
);
CREATE INDEX links_by_age ON links (changed_at);

-- `value_id`: of tenant, target, external id and kind together.
CREATE TABLE delivered (
    value_id     uuid   NOT NULL PRIMARY KEY,
    delivered_at bigint NOT NULL,
    value        bytea  NOT NULL
);
CREATE INDEX delivered_by_age ON delivered (delivered_at);

-- `tenant_id`: the part of the key before its first `|`. NULL: it has none, and belongs to no tenant.
CREATE TABLE outstanding (
    seq        bigint   NOT NULL,
    key_id     uuid     NOT NULL,
    since      bigint   NOT NULL,
    moved_at   bigint   NOT NULL,
    hop        bigint   NOT NULL,
    lane       integer  NOT NULL,
    attempts   integer  NOT NULL,
    round      smallint NOT NULL,
    topic      smallint NOT NULL,
    role       smallint NOT NULL,
    is_passing boolean  NOT NULL,
    key        bytea    NOT NULL,
    tenant_id  bytea,
    failure    bytea,
    PRIMARY KEY (lane, seq)
);
CREATE INDEX outstanding_by_key ON outstanding (lane, key_id, seq);

-- By hash: an external id may be of any length.
CREATE INDEX orders_by_external_id ON orders USING hash (external_order_id);

DO $$
BEGIN
    ALTER TABLE lane_decisions ALTER COLUMN effects SET COMPRESSION lz4;
    ALTER TABLE released_records ALTER COLUMN effects SET COMPRESSION lz4;
    ALTER TABLE parked_records ALTER COLUMN value SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    ALTER TABLE lane_decisions ALTER COLUMN effects SET STORAGE EXTERNAL;
    ALTER TABLE released_records ALTER COLUMN effects SET STORAGE EXTERNAL;
END
$$;
