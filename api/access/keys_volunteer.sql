-- Version 2: a key's holder may be a volunteer, who never acts on the hours of this number.

ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS volunteer text;
