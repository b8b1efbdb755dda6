"""Tests of what callers may have computed: bounds of rules, turns of keys, deadlines, and an end within the drain."""
