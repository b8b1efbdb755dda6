"""Anomalies: unusual records, found by one pure function of columns for each kind, with the events behind them.

A finding is a reason for an auditor to look, not a verdict, and changes no credit. The thresholds are rules
(`projections/rules/anomalies.py`). `replay/audit/` reads the columns and words the findings.
"""
