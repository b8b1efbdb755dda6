"""Tests that benches run and say what they promise. Nothing here looks at speed."""
