"""Generations: the read models of one replay as tables in PostgreSQL: built, verified, switched to, kept and dropped.

The tables' SQL is here. Changing a generation event by event is in `replay/live/`; answering from one is in
`replay/queries/`.
"""
