"""Four-eyes approval: who may act on whose hours, and which acts need another person's approval.

What the rules name lives in `ledger/deciding/policies.py`; requests and approvals are the aggregate `request`.
"""
