-- The organisation tree, voided training records, reasons of counts: new events (organisation-moved.v1,
-- organisation-ended.v1, training-voided.v1), which an older program must not meet. And the way to the few events that
-- say who belongs where: they are found by topic, among millions of scans that are not in this index.
CREATE INDEX belonging ON ledger.stored_events (topic, notification_id)
WHERE topic IN (
    'organisation-founded.v1', 'organisation-moved.v1', 'organisation-ended.v1',
    'station-opened.v1', 'station-closed.v1', 'project-launched.v1', 'project-ended.v1',
    'volunteer-registered.v1', 'volunteer-withdrawn.v1', 'organisation-joined.v1', 'organisation-left.v1'
);
