-- Step 9: certificates (certificate-issued.v1, certificate-revoked.v1), which an older program must not meet. Those of a
-- volunteer are found by the number, as text, for no cast may ever refuse an event.

CREATE INDEX IF NOT EXISTS stored_events_certificates
    ON ledger.stored_events ((substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"')))
    WHERE topic = 'certificate-issued.v1';
