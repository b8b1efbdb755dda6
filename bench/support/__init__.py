"""Shared code of the benches: arguments, the clock, ledgers, and servers under load.

Modules here run only as part of a bench or as its child process.
"""
