"""Tests of rule timelines: reading, checking, limits, comparing."""
