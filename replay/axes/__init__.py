"""Axes: the three axes of time, one snapshot per answer, and a volunteer as known under any axes.

Every query starts here and every answer derives from `answers.py`. The folder answers no question of its own.
"""
