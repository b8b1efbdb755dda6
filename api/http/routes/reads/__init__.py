"""Reads: routes that answer queries under any three axes of time.

No route here changes anything.
"""
