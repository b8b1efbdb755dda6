"""Tests of answers over HTTP, live and under the three axes."""
