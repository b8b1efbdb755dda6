-- Signed requests, kept before their commands are recorded, so that anybody can later check who said what. `digest` is the
-- SHA-256 of signature base and signature: the same request again is kept once. `names` are the digests of the commands' names,
-- as ledger.commands has them. `public_key` is the one that was registered then. Nothing here is ever changed.
-- Version 1 (ledger/upgrading.py): never edited, a change is a step of its own.

CREATE SCHEMA IF NOT EXISTS api;

CREATE TABLE IF NOT EXISTS api.signatures (
    digest bytea PRIMARY KEY,
    key int NOT NULL,
    public_key bytea NOT NULL,
    base bytea NOT NULL,
    signature bytea NOT NULL,
    body bytea NOT NULL,
    names uuid[] NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS signatures_names ON api.signatures USING gin (names);
