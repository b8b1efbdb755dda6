"""Deciding: what every decision is made of: commands, orders, events, streams, and the policies that rules state.

Nothing here is about one kind of stream; those are in `ledger/aggregates/`, a file each. Nothing here knows PostgreSQL,
HTTP or a read model.
"""
