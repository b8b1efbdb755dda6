"""Events: the planned history as events of the log, in the order in which they were recorded.

Each source writes events of one kind. `replay/synthetic/planning/` plans what happened.
"""
