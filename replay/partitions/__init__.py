"""Partitions: the facts of a ledger, or of a federation, divided by person on disk, and replays of them in parallel.

What no rule changes is kept here: resolved shifts and the other events, in as many files as memory and workers need.
Everything can be made again from archives, and nothing else reads it; so nothing here is evidence.
"""
