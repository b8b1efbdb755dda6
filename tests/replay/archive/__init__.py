"""Tests of the archive: equal to the log, whole at every step, and checked when it is not."""
