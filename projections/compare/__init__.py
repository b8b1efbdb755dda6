"""Compare: two replays side by side, and why their results differ.

The folder knows arrays and rule tables. Where the two sides come from, and how a difference is worded, is in
`replay/what_if/`.
"""
