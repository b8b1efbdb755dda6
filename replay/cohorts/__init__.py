"""Cohorts: some volunteers with everything that is true of them, read from the store and the log.

The follower, the verification of a generation and the queries about one volunteer all start here. The folder only
reads; what results from a cohort is computed in `projections/kernels/`.
"""
