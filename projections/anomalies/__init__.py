"""Anomalies: what is odd about records, each kind a pure function of columns, with its reason and the events behind it.

A finding is a reason to look, never a verdict, and changes no credit. Thresholds are rules
(`projections/rules/anomalies.py`); reading the columns and wording the findings is in `replay/audit/`.
"""
