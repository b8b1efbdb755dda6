"""Tests of the synthetic history: repeatable, faithful to its figures, and honest about its faults."""
