-- The ledger's tables, version 1. Applied to an empty database, and to one of before there were versions
-- (ledger/upgrading.py): it makes what is missing. Never edited: a change is a step of its own.
-- Read models have schemas of their own (replay/); nothing here is derived but `commands`, which only spares a search.

CREATE SCHEMA IF NOT EXISTS ledger;

-- One row, made once: an archive, a proof or a backup says by this id which ledger it belongs to.
CREATE TABLE IF NOT EXISTS ledger.identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id uuid NOT NULL
);
INSERT INTO ledger.identity (id) VALUES (gen_random_uuid()) ON CONFLICT DO NOTHING;

-- The log. Names and columns are the eventsourcing library's. `notification_id` is the position: dense, from 1, given out
-- under the writers' lock, never by a sequence, whose numbers are lost when a transaction rolls back.
CREATE TABLE IF NOT EXISTS ledger.stored_events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    PRIMARY KEY (originator_id, originator_version),
    UNIQUE (notification_id)
);

-- What has been answered: 128-bit digests of a command's name and of its content, and its last event.
CREATE TABLE IF NOT EXISTS ledger.commands (
    name uuid PRIMARY KEY,
    content uuid NOT NULL,
    position bigint NOT NULL
);

-- Personal data, apart from the log and erasable (DOMAIN.md, "Personal data").
CREATE TABLE IF NOT EXISTS ledger.persons (
    volunteer text PRIMARY KEY,
    name text NOT NULL,
    phone text,
    email text
);

-- A free text and its salt. The event holds the digest of both; when the row is erased the digest says nothing any more.
CREATE TABLE IF NOT EXISTS ledger.texts (
    digest text PRIMARY KEY,
    salt bytea NOT NULL,
    text text NOT NULL,
    volunteer text
);
CREATE INDEX IF NOT EXISTS texts_volunteer ON ledger.texts (volunteer);
