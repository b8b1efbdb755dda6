"""Rankings: the first of a year among volunteers and projects, and what went on at one project.

Ranks are computed in `projections/kernels/rankings.py` or read from a generation's indexes. Who is honoured for a rank
is in `replay/awards/`.
"""
