"""Rules: rule files are parsed, checked and compiled to arrays.

`projections/kernels/` applies the rules to shifts; `replay/` knows which rules are published.
"""
