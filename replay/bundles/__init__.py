"""Audit bundles: everything an auditor needs to check a ledger without its database, as a folder on a USB stick.

`layout` names the files and reads the table of contents, `making` makes or extends a bundle from a ledger (`proved`
and `snapshot` are what it takes from there), `reading` reads entries. `replay/auditing/` has the checks. docs/audit.md.
"""
