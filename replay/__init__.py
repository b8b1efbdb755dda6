"""Replay: read models built from the log, kept up with it, and queried under any three axes of time.

Beside the folders stand what all of them need: the progress of long work, the rule timelines the log has published, and
backups. Commands are not decided here, and nothing in this package speaks HTTP.
"""
