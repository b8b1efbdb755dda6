"""Tests of a service whose database fails, or whose log was altered."""
