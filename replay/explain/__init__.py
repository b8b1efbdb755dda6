"""Explain: every minute of a volunteer's day, with the rule that granted or denied it and the events behind it.

The minutes are those of the kernels; an explanation that would differ from them is an error. Questions about more than
one day are in `replay/queries/`.
"""
