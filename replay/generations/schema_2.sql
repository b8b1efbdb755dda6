-- Version 2: which numbers were ever merged, the first into the second, and whether that stands (replay/persons.py).
-- Generations made before count every number by itself: where any was merged they are to be made anew, with the facts.
CREATE TABLE replay.merges (
    volunteer text NOT NULL,
    into_number text NOT NULL,
    stands boolean NOT NULL,
    PRIMARY KEY (volunteer, into_number)
);
CREATE INDEX merges_by_into_number ON replay.merges (into_number);
UPDATE replay.generations SET layout = ''
WHERE EXISTS (SELECT FROM ledger.stored_events WHERE topic = 'volunteer-merged.v1');
