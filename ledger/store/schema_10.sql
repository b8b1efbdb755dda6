-- Step 10: persons are found however a name or a phone number was written: in full-width characters, with blanks of any
-- kind, several phone numbers in one field. What is stored and what is searched for take the same form here.

CREATE OR REPLACE FUNCTION ledger.person_key(written text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT lower(regexp_replace(normalize(written, NFKC), '[\s\u0085\u1680\u2028\u2029\u200b\ufeff]', '', 'g'))
$$;

-- The digits of each number between bars: |13800138000|07552555123|. Seven digits before a blank are a whole number.
CREATE OR REPLACE FUNCTION ledger.phone_keys(written text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT '|' || regexp_replace(
        regexp_replace(
            regexp_replace(normalize(written, NFKC), '[/,;、|&或和\n]|\s\s+', '|', 'g'),
            '(\d{7})\s+(?=[+(]?\d)', '\1|', 'g'
        ),
        '[^0-9|]', '', 'g'
    ) || '|'
$$;

ALTER TABLE ledger.persons
    ADD COLUMN IF NOT EXISTS name_key text GENERATED ALWAYS AS (ledger.person_key(name)) STORED,
    ADD COLUMN IF NOT EXISTS phone_keys text GENERATED ALWAYS AS (ledger.phone_keys(phone)) STORED;
DROP INDEX IF EXISTS ledger.persons_name;
DROP INDEX IF EXISTS ledger.persons_phone;
