"""Axes: parsing the three axes of time, and the candidate rules that an axis can name.

Text is converted to positions and rules here. What the axes mean for an answer is defined in `replay/axes/`.
"""
