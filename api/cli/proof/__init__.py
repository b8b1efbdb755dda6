"""Commands of proof: checkpoints, proofs of events, and the keys that sign them."""
