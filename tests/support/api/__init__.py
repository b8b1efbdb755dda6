"""Support for tests of the interfaces: a served ledger with a key of each role, and the command line."""
