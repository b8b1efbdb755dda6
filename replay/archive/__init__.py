"""Archive: the log as Parquet segments on disk, from which replays start.

This folder writes, merges, reads, checks and copies segments, and parses the log's bytes into columns. The meaning of
events is defined in `projections/`. The archive knows no generations, and of the rules only the published texts.
"""
