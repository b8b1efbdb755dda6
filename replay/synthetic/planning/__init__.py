"""Planning: who served where and when in the synthetic history, and with which faults, as columns.

The same scale and seed give the same columns. No event is written here.
"""
