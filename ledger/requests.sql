-- Step 3: requests and disputes are found without reading the log (replay/cases.py). Their openings, by position; and by
-- volunteer what is about one in streams to which neither the number nor a shift leads. The ledger writes the volunteer of
-- such an event before any field that could say another; as text, for no cast may ever refuse an event.

CREATE INDEX IF NOT EXISTS stored_events_openings ON ledger.stored_events (notification_id)
    WHERE topic IN ('shift-disputed.v1', 'act-requested.v1');

CREATE INDEX IF NOT EXISTS stored_events_about
    ON ledger.stored_events ((substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"')))
    WHERE topic IN ('act-requested.v1', 'day-cap-raised.v1', 'honor-announced.v1');
