"""The oracle: the rules of credit implemented a second time, and histories to try both implementations on.

Nothing here imports a kernel, except to bring its results into the oracle's form.
"""
