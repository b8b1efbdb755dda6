-- Rule timelines to try out, by the SHA-256 of their text. They were checked, are not published, and decide nothing.
-- Version 1 (ledger/upgrading.py): never edited, a change is a step of its own.

CREATE SCHEMA IF NOT EXISTS api;

CREATE TABLE IF NOT EXISTS api.rule_candidates (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    text text NOT NULL,
    by text NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now()
);
