"""Tests of commands over HTTP: single, in batches, as streams; recorded once, whatever callers do."""
