-- Version 4: a check-out at the instant of its check-in ends a shift of no time; it counted as missing before. Generations
-- of older versions are rebuilt with the facts at the next start.
UPDATE replay.generations SET layout = '';
