"""Commands beyond one ledger on one machine: federations, partitions, clusters."""
