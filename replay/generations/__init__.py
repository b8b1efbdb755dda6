"""Generations: the read models of one replay as tables in PostgreSQL: built, verified, switched to, and dropped.

The SQL of the tables is here. `replay/live/` updates a generation event by event; `replay/queries/` answers from one.
"""
