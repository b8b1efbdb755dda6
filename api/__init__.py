"""The interfaces of the ledger: HTTP, the command line, and the import of old records.

This package translates: from requests and arguments to commands and queries, and from answers to responses, tables and
files. What is true is decided in `ledger/` and computed in `replay/`.
"""
