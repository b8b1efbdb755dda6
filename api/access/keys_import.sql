-- Version 3: a key may be given one import until an instant: only for this source, and only until then, it may mark events as
-- old records, which need no approval.

ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS import_source text;
ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS import_until timestamptz;
