"""Organisations: the tree, what is done in each of its nodes and by its members, and how many people were served.

Sums over the tree are computed in `projections/kernels/belonging.py`. Nothing here writes.
"""
