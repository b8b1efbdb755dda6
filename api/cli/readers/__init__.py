"""Commands that print what the ledger holds, as tables or JSON.

They record nothing.
"""
