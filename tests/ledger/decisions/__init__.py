"""Tests of decisions, which are pure: no test here needs a database."""
