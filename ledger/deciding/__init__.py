"""Deciding: what all decisions share: commands, orders, events, streams, and the policies in the published rules.

The single kinds of streams are in `ledger/aggregates/`, one file each. Nothing here knows PostgreSQL, HTTP or a read
model.
"""
