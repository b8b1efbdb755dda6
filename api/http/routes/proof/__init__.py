"""Routes of proof: checkpoints, tiles, the keys that sign them, and proofs of events."""
