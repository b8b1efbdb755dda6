"""Records: what was decided about a record, folded from the log as known at any position.

Awards, disputes, requests, memberships and the history of a volunteer's record. No minutes are computed here.
"""
