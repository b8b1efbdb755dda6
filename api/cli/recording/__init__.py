"""Commands that record events through the intake of this process, and the erasure of personal data.

`ledger/` decides what is recorded.
"""
