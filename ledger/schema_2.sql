-- Step 2: awards have a life (honor-objection-settled.v1), and the events of all of them are found without reading the
-- whole log: they are few, and the index holds nothing else. A query must ask by the same condition.
CREATE INDEX IF NOT EXISTS honor_events ON ledger.stored_events (notification_id) WHERE topic LIKE 'honor-%';
