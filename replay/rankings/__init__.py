"""Rankings: the ranks of volunteers and projects in a year, and the activity of a project.

Ranks are computed in `projections/kernels/rankings.py` or read from a generation's indexes. Honours for ranks are in
`replay/awards/`.
"""
