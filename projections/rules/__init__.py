"""Rules: what a rule file says, whether it is sound, and its form as arrays.

A rule file is parsed, checked and turned into tables here. What the rules make of a shift is in `projections/kernels/`;
which rules are published is in `replay/`.
"""
