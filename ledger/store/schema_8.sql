-- Step 8: scans of stations that were refused because they lay in the future, by the digest of the command's name. If one
-- is sent again and accepted once its time has come, nothing else would show that the station's clock was fast.
-- It holds no personal data. Only the latest are kept (ledger/store/append.py).

CREATE TABLE IF NOT EXISTS ledger.early_scans (
    name uuid NOT NULL,
    occurred_at bigint NOT NULL,
    seconds_ahead bigint NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, occurred_at)
);
CREATE INDEX IF NOT EXISTS early_scans_refused_at ON ledger.early_scans (refused_at);
