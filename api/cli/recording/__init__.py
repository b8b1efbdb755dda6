"""Recording: commands that record acts through the intake of this process, and the erasure of personal data.

What is recorded is decided in `ledger/`.
"""
