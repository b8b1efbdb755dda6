"""Writes: routes that record commands: one by one, in batches and as streams.

Every route here ends in `api/http/requests/submission.py`, which hands orders to the ledger.
"""
