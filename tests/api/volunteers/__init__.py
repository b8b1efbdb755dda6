"""Tests of what is answered about one volunteer and about persons."""
