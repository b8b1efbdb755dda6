"""Backup: a verified copy of everything that cannot be computed again, and a ledger restored from one.

Read models and the archive are left out, because they are rebuilt from the log. Copying an archive is in
`replay/archive/copying.py`.
"""
