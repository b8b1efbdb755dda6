"""Files: exports that people and other programs read, as CSV, JSON lines and Parquet.

Rows come from `replay/` and are only arranged here.
"""
