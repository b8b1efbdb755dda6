"""Reads: routes that answer questions about the ledger under any three axes.

No route here changes anything.
"""
