-- Version 3: a row of `stations` is an opening, because the kind of a station holds from the day on which it was opened.
-- `opened_at`: epoch seconds; 0 for a station that was never opened (kind 8), and in rows from before this version.
-- Generations of older versions are rebuilt with the facts at the next start. They have the last kind of a station for all
-- days, leave out shifts without a station, let a raise lower the day cap, and take a shift that was moved and reinstated
-- for a scanned one.
ALTER TABLE replay.stations ADD COLUMN opened_at bigint NOT NULL DEFAULT 0;
ALTER TABLE replay.stations DROP CONSTRAINT stations_pkey, ADD PRIMARY KEY (station, opened_at);
UPDATE replay.generations SET layout = '';
