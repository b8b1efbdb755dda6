"""Explain: every minute of a volunteer's day, with the rule that granted or denied it and the events behind it.

The minutes are those of the kernels; an explanation that would differ from them is an error. Queries about several days
are in `replay/queries/`.
"""
