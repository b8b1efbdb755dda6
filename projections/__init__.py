"""Projections: pure functions from the log's events, as columns, to hours, honours and all other computed results.

The modules outside the folders are shared by all of them: the schema of the columns, local time, surrogates, and the
compilation of kernels. Nothing in this package reads a database, an archive file or the clock, or uses HTTP.
"""
