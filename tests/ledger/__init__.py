"""Tests of the ledger: decisions, the intake and the store, in a folder each."""
