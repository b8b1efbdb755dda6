-- Version 3: a row of `stations` is an opening, because a station's kind holds from the day on which it was opened as such.
-- `opened_at`: epoch seconds; 0 for a station that was never opened, which has the kind 8.
-- Generations made before also have no shifts without a station, let a raise lower the day cap, and do not attest a shift
-- that was moved and reinstated: they are to be made anew, with the facts. Until then a kind has no first day.
ALTER TABLE replay.stations ADD COLUMN opened_at bigint NOT NULL DEFAULT 0;
ALTER TABLE replay.stations DROP CONSTRAINT stations_pkey, ADD PRIMARY KEY (station, opened_at);
UPDATE replay.generations SET layout = '';
