-- Lanes of the lane engine. What is bound to a record is appended in the order of its lane; by a random key, that of
-- the order, go only the last claim and what is outstanding, parked, linked or delivered.

-- `batch`: number of the last one. `confirmed_batch`: that of `checkpoint`, so that pruning need not read it.
ALTER TABLE lanes ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN confirmed_batch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE lanes ADD COLUMN checkpoint TEXT;

-- `topic`: 0 source · 1 control · 2 held · 3 and on the tiers, in every table here.
CREATE TABLE lane_decisions (
    lane          INTEGER NOT NULL,
    topic         INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    seq           INTEGER NOT NULL,
    batch         INTEGER NOT NULL,
    decision      BLOB    NOT NULL,
    effects       BLOB    NOT NULL,
    PRIMARY KEY (lane, topic, record_offset)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_decisions_by_record ON lane_decisions (lane, seq);

-- `answer`: NULL while the attempt is under way. Neither epoch nor expiry: one process alone has the file open, so an
-- earlier epoch's claim without an answer is nobody's.
CREATE TABLE claims (
    lane    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    answer  BLOB,
    PRIMARY KEY (lane, seq, attempt)
) STRICT, WITHOUT ROWID;

-- `died_at`: a record that was ever dead may come back from the dead letters. What it ended with says that it has.
CREATE TABLE ends (
    lane    INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    hop     INTEGER NOT NULL,
    batch   INTEGER NOT NULL,
    died_at INTEGER,
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX ends_alive ON ends (lane, seq) WHERE died_at IS NULL;
CREATE INDEX ends_by_death ON ends (died_at) WHERE died_at IS NOT NULL;

-- The highest sequence of the key that was ever claimed.
CREATE TABLE last_claims (
    lane       INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (lane, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX last_claims_by_age ON last_claims (claimed_at);

-- `outcome`: 1 done · 2 nothing · 3 overtaken · 4 not head.
CREATE TABLE commands (
    id      TEXT    NOT NULL,
    lane    INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (id, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX commands_by_age ON commands (at);

CREATE TABLE parked_records (
    lane       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    headers    BLOB    NOT NULL,
    value      BLOB,
    PRIMARY KEY (lane, seq)
) STRICT;
CREATE INDEX parked_records_by_expiry ON parked_records (lane, expires_at);

-- `place`: of the id among those of the record. `order_id`: the id, if it has the form of an order's own.
CREATE TABLE wanted_ids (
    lane        INTEGER NOT NULL,
    seq         INTEGER NOT NULL,
    place       INTEGER NOT NULL,
    platform_id TEXT    NOT NULL,
    order_id    BLOB,
    PRIMARY KEY (lane, seq, place)
) STRICT, WITHOUT ROWID;

-- `decided`: where the lane stood, as for timers: the record may be a month older.
CREATE TABLE released_records (
    lane    INTEGER NOT NULL,
    batch   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    decided INTEGER NOT NULL,
    effects BLOB    NOT NULL,
    PRIMARY KEY (lane, batch, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
    platform_id       TEXT    NOT NULL PRIMARY KEY,
    tenant_id         TEXT    NOT NULL,
    source_key        TEXT    NOT NULL,
    external_order_id TEXT    NOT NULL,
    country_code      TEXT    NOT NULL,
    changed_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_age ON links (changed_at);

CREATE TABLE delivered (
    tenant_id         TEXT    NOT NULL,
    target            TEXT    NOT NULL,
    external_order_id TEXT    NOT NULL,
    kind              TEXT    NOT NULL,
    value             TEXT    NOT NULL,
    delivered_at      INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, target, external_order_id, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivered_by_age ON delivered (delivered_at);

-- `tenant_id`: the part of the key before its first `|`. NULL: it has none, and belongs to no tenant.
CREATE TABLE outstanding (
    lane       INTEGER NOT NULL,
    seq        INTEGER NOT NULL,
    key        BLOB    NOT NULL,
    tenant_id  BLOB,
    topic      INTEGER NOT NULL,
    hop        INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    round      INTEGER NOT NULL,
    role       INTEGER NOT NULL,
    is_passing INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    moved_at   INTEGER NOT NULL,
    failure    BLOB,
    PRIMARY KEY (lane, seq)
) STRICT, WITHOUT ROWID;
-- Everything a page of keys groups and filters by.
CREATE INDEX outstanding_by_key ON outstanding (lane, key, seq, tenant_id);

-- External ids run on as their senders count, so this is nearly appended to.
CREATE INDEX orders_by_external_id ON orders (external_order_id) WHERE external_order_id IS NOT NULL;
