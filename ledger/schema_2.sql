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
