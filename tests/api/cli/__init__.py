"""Tests of the command line `hours`: tables for people, JSON for machines, and usage errors."""
