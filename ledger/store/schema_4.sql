-- Step 4: the numbers that were merged into a number. A decision about a person's day reads the shifts of all of them
-- (ledger/aggregates/effects.py). As text, for no cast may ever refuse an event.

CREATE INDEX IF NOT EXISTS stored_events_merges
    ON ledger.stored_events ((substring(encode(state, 'escape') FROM '"into":"([^"]*)"')))
    WHERE topic = 'volunteer-merged.v1';
