"""Backup: a verified copy of everything that cannot be computed again, and restoring a ledger from it.

Read models and the archive are not included, because they are rebuilt from the log. `replay/archive/copying.py` copies
an archive.
"""
