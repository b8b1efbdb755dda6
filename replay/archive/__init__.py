"""Archive: the log as Parquet segments on disk, from which replays start.

Writing, growing, reading, checking and copying segments is here, and so is parsing the log's bytes into columns. What
the events mean is in `projections/`; the archive knows no generation and no rule beyond the published texts it carries.
"""
