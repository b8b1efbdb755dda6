"""Writes: routes that record commands: one by one, in batches and as streams.

Every route here uses `api/http/requests/submission.py`, which submits orders to the ledger.
"""
