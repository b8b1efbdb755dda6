"""Readers: commands that print what the ledger holds, as tables for people or JSON for machines.

No command here records anything.
"""
