-- Version 1 of the event log. `user_version` tells the version, `application_id` whose file it is ("CDlg").
PRAGMA application_id = 0x43446c67;
PRAGMA user_version = 1;

CREATE TABLE topics (
    name TEXT PRIMARY KEY,
    partitions INTEGER NOT NULL,
    -- The slots of its partitions are first_slot, first_slot + 1 ...
    first_slot INTEGER NOT NULL UNIQUE,
    max_record_bytes INTEGER NOT NULL,
    -- NULL: kept until trimmed.
    retention_ms INTEGER
) STRICT, WITHOUT ROWID;

-- What the records alone cannot tell once the oldest, or all of them, are deleted. The records of a slot are in a
-- table of their own, records_<slot>: an append then fills the last page of a table, and neither a full page of
-- another partition is split nor an index written. With one table for all, keyed by slot and offset in the rowid, an
-- append cost 1.2 to 1.6 times the CPU time and 1.4 to 2.2 times the bytes written (18 partitions, 1.5 and 6 KB).
CREATE TABLE slots (
    slot INTEGER PRIMARY KEY,
    start INTEGER NOT NULL,
    -- Append time of the newest record deleted.
    trimmed_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE groups (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- Of the newest member; never given out twice.
    generation INTEGER NOT NULL
) STRICT;

CREATE TABLE cursors (
    slot INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (slot, group_id)
) STRICT, WITHOUT ROWID;
