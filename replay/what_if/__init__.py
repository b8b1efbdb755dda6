"""What-if: two rule timelines or two moments of knowledge, compared before anything is published.

The comparison itself is in `projections/compare/`; this folder reads both sides and words the result. Nothing is
published and no generation changes.
"""
