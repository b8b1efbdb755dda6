"""Helpers of the browser tests: a served ledger on a port, and Debian's Chromium."""
