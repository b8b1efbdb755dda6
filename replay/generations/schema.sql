-- What read models rest on. Everything here is derived from the log and can be made again from it.
-- `shifts`, `volunteers`, `cap_raises`, `people_served` and `stations` hold facts as all events leave them; they depend on no rule
-- and stand outside generations. All of them, and the current generation, are at the current generation's position.
-- Version 1 (ledger/upgrading.py): never edited, a change is a step of its own.

CREATE SCHEMA IF NOT EXISTS replay;

-- One replay's tables live in a schema of their own, named generation_<id>. `checksum` is the sum of a hash of every row.
CREATE TABLE IF NOT EXISTS replay.generations (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rules_version int NOT NULL,
    rules_digest text NOT NULL,
    rules_text text NOT NULL,
    position bigint NOT NULL,
    checksum numeric(20) NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);

-- Since the first version: `valid_at`, the last day whose results it holds (null: all); `layout`, a digest of its tables'
-- definitions; `switched_at`, when it was last switched to (null: never). ALTER TABLE would wait for every reader, and
-- every reader for it, so it is not even asked for where the columns are there.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM information_schema.columns
                   WHERE table_schema = 'replay' AND table_name = 'generations' AND column_name = 'layout') THEN
        ALTER TABLE replay.generations
            ADD COLUMN valid_at date,
            ADD COLUMN layout text NOT NULL DEFAULT '',
            ADD COLUMN switched_at timestamptz;
    END IF;
END $$;

-- The one row that says which generation answers; readers read it once per request.
CREATE TABLE IF NOT EXISTS replay.pointer (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation int NOT NULL REFERENCES replay.generations (id)
);

-- Instants are epoch seconds; null means none. `flags` are the bits of projections/schema.py, "resolved shifts".
-- One row for each volunteer and shift; who writes sees to it. The follower asks for a volunteer's shifts of some time,
-- so the time stands in the one index there is: a second one would double what a new shift costs. The first version
-- had a key without it.
CREATE TABLE IF NOT EXISTS replay.shifts (
    volunteer text NOT NULL,
    shift uuid NOT NULL,
    station text,
    project text,
    check_in bigint,
    check_out bigint,
    recorded_at bigint NOT NULL,
    flags int NOT NULL
);
DO $$ BEGIN
    IF to_regclass('replay.shifts_by_time') IS NULL THEN
        ALTER TABLE replay.shifts DROP CONSTRAINT IF EXISTS shifts_pkey;
        CREATE UNIQUE INDEX shifts_by_time ON replay.shifts (volunteer, check_in, shift) NULLS NOT DISTINCT;
    END IF;
END $$;

-- Days are days since 1970-01-01; null means never. `trained_<n>`: the first day with a tier of at least n.
CREATE TABLE IF NOT EXISTS replay.volunteers (
    volunteer text PRIMARY KEY,
    registered int,
    opening_day int,
    opening_minutes int NOT NULL,
    trained_1 int,
    trained_2 int,
    trained_3 int
);

CREATE TABLE IF NOT EXISTS replay.cap_raises (
    volunteer text NOT NULL,
    day int NOT NULL,
    raise_id text NOT NULL,
    minutes int NOT NULL,
    PRIMARY KEY (volunteer, day, raise_id)
);

CREATE TABLE IF NOT EXISTS replay.people_served (
    station text NOT NULL,
    project text NOT NULL,
    day int NOT NULL,
    people int NOT NULL,
    PRIMARY KEY (station, project, day)
);

CREATE TABLE IF NOT EXISTS replay.stations (
    station text PRIMARY KEY,
    kind int NOT NULL
);
