"""Planning: who served where and when in the synthetic history, and what went wrong, as columns.

The same scale and seed give the same columns. No event is written here.
"""
