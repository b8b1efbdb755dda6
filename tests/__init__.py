"""Tests, in the folders of the code they test. `support/` holds what they share, `fixtures/` the files they read.

`conftest.py` starts PostgreSQL and makes a fresh ledger for each test that asks for one.
"""
