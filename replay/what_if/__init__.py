"""What-if: a comparison of two rule timelines, or of two moments of knowledge, before anything is published.

The comparison itself is in `projections/compare/`. This folder reads both sides and puts the result into words. Nothing
is published and no generation changes.
"""
