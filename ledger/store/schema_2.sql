-- Step 2: records and awards have a whole life: events that an older program must not meet (tests/test_upgrade.py has
-- their topics), and the ways to the few events that are found without reading the whole log. A query must ask by the
-- same condition as its index.

-- The life of awards.
CREATE INDEX IF NOT EXISTS honor_events ON ledger.stored_events (notification_id) WHERE topic LIKE 'honor-%';

-- Who belongs where.
CREATE INDEX IF NOT EXISTS belonging ON ledger.stored_events (topic, notification_id)
WHERE topic IN (
    'organisation-founded.v1', 'organisation-moved.v1', 'organisation-ended.v1',
    'station-opened.v1', 'station-closed.v1', 'project-launched.v1', 'project-ended.v1',
    'volunteer-registered.v1', 'volunteer-withdrawn.v1', 'organisation-joined.v1', 'organisation-left.v1'
);

-- Requests and disputes (replay/cases.py). Their openings, by position; and by volunteer what is about one in streams to
-- which neither the number nor a shift leads. The ledger writes the volunteer of such an event before any field that could
-- say another; as text, for no cast may ever refuse an event.
CREATE INDEX IF NOT EXISTS stored_events_openings ON ledger.stored_events (notification_id)
    WHERE topic IN ('shift-disputed.v1', 'act-requested.v1');

CREATE INDEX IF NOT EXISTS stored_events_about
    ON ledger.stored_events ((substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"')))
    WHERE topic IN ('act-requested.v1', 'day-cap-raised.v1', 'honor-announced.v1');
