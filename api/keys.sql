-- Who may call. A key is a random token, shown once and kept only as its SHA-256. `name` is the station's id for the role
-- `station` and a person's name for the others; it is what events say in `by`.

CREATE SCHEMA IF NOT EXISTS api;

CREATE TABLE IF NOT EXISTS api.keys (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('station', 'staff', 'reader', 'admin')),
    name text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    made_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
