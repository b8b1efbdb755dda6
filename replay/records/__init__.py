"""Records: awards, disputes, requests, memberships and the history of a volunteer's record.

All of them are folded from the log, as known at any position.
"""
