"""Federations: several ledgers replayed as one, with the numbers of a person in any of them as one person.

What a federation is, and how its ledgers are joined, belongs here; how an answer is computed does not: joined facts go
through the same kernels as those of one ledger.
"""
