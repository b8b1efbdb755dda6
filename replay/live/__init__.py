"""Live: the follower, which keeps the current generation equal to a rebuild at every position of the log.

A batch of events becomes exact differences of rows here. The folder writes only to the current generation; building a
new one is in `replay/generations/`.
"""
