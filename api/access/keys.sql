-- Who may call. A key is a random token, shown once and kept only as its SHA-256. `name` is the station's id for the role
-- `station` and a person's name for the others; it is what events say in `by`. Roles are listed in api/access.py.
-- Version 1 (ledger/upgrading.py): never edited, a change is a step of its own.

CREATE SCHEMA IF NOT EXISTS api;

CREATE TABLE IF NOT EXISTS api.keys (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role text NOT NULL,
    name text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    made_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- Older ledgers: four roles, and keys that never end.
ALTER TABLE api.keys DROP CONSTRAINT IF EXISTS keys_role_check;
ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS expires_at timestamptz;
ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS per_second int;
ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS public_key bytea;
ALTER TABLE api.keys ADD COLUMN IF NOT EXISTS must_sign boolean NOT NULL DEFAULT false;

-- When a key was last used, to the minute: apart from the keys, as it is no change of one.
CREATE TABLE IF NOT EXISTS api.key_uses (
    key int PRIMARY KEY,
    used_at timestamptz NOT NULL
);

-- Processes remember keys; whatever changes one, by hand too, tells them to forget (api/key_memory.py).
CREATE OR REPLACE FUNCTION api.tell_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('api_keys', '');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER keys_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api.keys
    FOR EACH STATEMENT EXECUTE FUNCTION api.tell_keys_changed();
