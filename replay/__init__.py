"""Replay: read models that are built from the log, follow it, and are queried under the three axes of time.

Shared by all folders are atomic writing (`durable.py`), progress of long-running work (`progress.py`), work in a
process of its own (`apart.py`), interrupts while processes are started (`interrupts.py`) and the published rule
timelines (`published.py`). Commands are not decided here, and nothing in this package speaks HTTP.
"""
