"""Axes: the three axes of time, one snapshot per answer, and a volunteer under any axes.

Every query starts in `as_known.py`, and every answer is a model of `answers.py`.
"""
