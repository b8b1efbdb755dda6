"""Peers: other programs for the same work, to compare speed and results with.

A peer may read the program's data, but does not use its kernels.
"""
