"""Live: the follower, which keeps the current generation equal to a rebuild at every position of the log.

It turns a batch of events into exact differences of rows. This folder writes only to the current generation;
`replay/generations/` builds new ones.
"""
