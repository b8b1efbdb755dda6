"""Tests of the import of old records, line by line. The command itself is tested in `tests/api/cli/test_import.py`."""
