-- Version 2: signatures are stored in the transaction that records what was signed, and `about` holds the volunteers whom
-- texts in the body are about. Signatures of requests of which nothing was recorded are removed.

ALTER TABLE api.signatures ADD COLUMN IF NOT EXISTS about text[] NOT NULL DEFAULT '{}';
CREATE INDEX IF NOT EXISTS signatures_about ON api.signatures USING gin (about);
DELETE FROM api.signatures
WHERE NOT EXISTS (SELECT FROM ledger.commands WHERE commands.name = ANY (signatures.names));
