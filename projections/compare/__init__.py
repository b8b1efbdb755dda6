"""Compare: two replays side by side, and the reasons why their results differ.

This folder works on arrays and rule tables. `replay/what_if/` provides the two sides and words the differences.
"""
