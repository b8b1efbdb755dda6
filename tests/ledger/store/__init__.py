"""Tests of the store: the log and how it is written and read, persons, and PostgreSQL itself."""
