"""Files: exports for people and other programs, as CSV and Parquet.

The rows come from the kernels and `replay/`; here they are only formatted.
"""
