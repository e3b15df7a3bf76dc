-- Rejections that were published: few beside the orders, so an id may be spread over the whole table.
CREATE TABLE published_events (
    id           uuid   PRIMARY KEY,
    published_at bigint NOT NULL
);
CREATE INDEX published_events_by_age ON published_events (published_at);
