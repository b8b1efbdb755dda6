"""Durations without clock times: where they lie in their day (docs/decisions/0023)."""
