-- Step 3: a text knows everybody it is about. `volunteer` is the first of them, `others` are the rest: the number to which
-- a shift was moved or a number was merged, say. Texts about honours, and about requests to award or revoke one, had nobody.

ALTER TABLE ledger.texts ADD COLUMN IF NOT EXISTS others text[] NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS texts_others ON ledger.texts USING gin (others);

-- As text, for no cast may ever refuse an event.
CREATE TEMPORARY TABLE honored ON COMMIT DROP AS
SELECT announced.originator_id, announced.award, coalesce(announced.volunteer, launched.in_charge) AS volunteer
FROM (
    SELECT originator_id,
        substring(encode(state, 'escape') FROM '"award":"([^"]*)"') AS award,
        substring(encode(state, 'escape') FROM '"volunteer":"([^"]*)"') AS volunteer,
        substring(encode(state, 'escape') FROM '"project":"([^"]*)"') AS project
    FROM ledger.stored_events WHERE topic LIKE 'honor-%' AND topic = 'honor-announced.v1'
) AS announced
LEFT JOIN LATERAL (
    SELECT substring(encode(state, 'escape') FROM '"in_charge":"([^"]*)"') AS in_charge
    FROM ledger.stored_events
    WHERE topic IN ('project-launched.v1') AND announced.project IS NOT NULL
        AND substring(encode(state, 'escape') FROM '"project":"([^"]*)"') = announced.project
    ORDER BY notification_id DESC LIMIT 1
) AS launched ON true;

UPDATE ledger.texts SET volunteer = honored.volunteer
FROM honored JOIN ledger.stored_events AS noted USING (originator_id)
WHERE texts.volunteer IS NULL AND texts.digest = substring(encode(noted.state, 'escape') FROM '"note":"([0-9a-f]*)"');

UPDATE ledger.texts SET volunteer = honored.volunteer
FROM ledger.stored_events AS requested
JOIN honored ON honored.award = substring(encode(requested.state, 'escape') FROM '"award":"([^"]*)"')
JOIN ledger.stored_events AS noted ON noted.originator_id = requested.originator_id
WHERE requested.topic IN ('shift-disputed.v1', 'act-requested.v1') AND requested.topic = 'act-requested.v1'
    AND texts.volunteer IS NULL AND texts.digest = substring(encode(noted.state, 'escape') FROM '"note":"([0-9a-f]*)"');
