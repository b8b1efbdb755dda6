"""Projections: pure functions from the log's events, as columns, to hours, honours and all other computed results.

Beside the folders stand the few modules that all of them need: the schema of the columns, local time, surrogates, and
how kernels are compiled. Nothing in this package reads a database, a file of the archive or the clock, and nothing
speaks HTTP.
"""
