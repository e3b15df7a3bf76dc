-- Rejections that were published: few beside the orders, so an id may be spread over the whole table. The index of age
-- is appended to.
CREATE TABLE published_events (
    id           BLOB    NOT NULL PRIMARY KEY,
    published_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX published_events_by_age ON published_events (published_at);
