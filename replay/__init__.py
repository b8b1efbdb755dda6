"""Replay: read models that are built from the log, follow it, and are queried under the three axes of time.

Two modules serve all folders: `progress.py` (progress of long-running work) and `published.py` (published rule
timelines). Commands are not decided here, and nothing in this package speaks HTTP.
"""
