"""Tests of documents: commands and code in the README and in docs/ run, and print what the page shows."""
