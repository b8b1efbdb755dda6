"""Peers: other ways to do the same work, which benches are compared with and checked against.

A peer may know the program's data, but none of its kernels.
"""
