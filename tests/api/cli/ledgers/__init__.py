"""Tests of the commands that make, keep and serve a ledger."""
