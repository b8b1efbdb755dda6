-- Version 5: `recorded` says that the rules of the current generation are the ones that the log has in force. A pointer from
-- before this version may have been switched back without an event; what answers then is kept until an operator decides.
ALTER TABLE replay.pointer ADD COLUMN IF NOT EXISTS recorded boolean NOT NULL DEFAULT false;
