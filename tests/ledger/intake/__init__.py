"""Tests of the intake: batches, group commit, rehearsals, and whole histories against a plain model of the ledger."""
