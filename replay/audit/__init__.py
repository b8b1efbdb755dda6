"""Audit: anomalies with their reasons, and random samples for checks in the field.

What counts as an anomaly is decided in `projections/anomalies/`. Nothing here changes a record.
"""
