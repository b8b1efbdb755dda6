"""Cohorts: some volunteers with all their facts and shifts, read from the store and the log.

The follower, the verification of generations and the queries about single volunteers start here. This folder reads
(only `merges.py` also writes, for the follower); `projections/kernels/` computes results from a cohort.
"""
