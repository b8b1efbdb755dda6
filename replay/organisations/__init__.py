"""Organisations: the tree, the service in each node and by its members, and the people served.

Sums over the tree are computed in `projections/kernels/belonging.py`. Nothing here writes.
"""
