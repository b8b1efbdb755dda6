"""Axes: the three axes of time as people write them, and candidate rules that an axis can name.

Text is turned into positions and rules here. What the axes mean for an answer is in `replay/axes/`.
"""
